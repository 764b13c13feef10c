"""The live client against a real server that restarts while pipelines go on, and the README that shows parts of it."""

import asyncio
import importlib.util
import os
import re
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.site import Site, opened

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "live"


async def _client(site: Site) -> asyncio.subprocess.Process:
    command = [sys.executable, str(FOLDER / "follow.py"), "--url", site.url]
    return await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **site.environment}, stdout=asyncio.subprocess.PIPE
    )


async def _says(client: asyncio.subprocess.Process, pattern: str) -> list[str]:
    """Lines up to the one that matches."""
    assert client.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(30):
        while not lines or not re.search(pattern, lines[-1]):
            line = await client.stdout.readline()
            assert line, lines
            lines.append(line.decode().rstrip())
    return lines


@pytest.fixture
async def site(dsn: str, engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(dsn, engine, tmp_path) as site:
        yield site


@pytest.fixture
def follow() -> ModuleType:
    spec = importlib.util.spec_from_file_location("live_follow", FOLDER / "follow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
async def test_a_list_is_kept_through_a_restart_of_the_server_and_nothing_is_missed(site: Site):
    api = await site.serve("api")
    site.start("worker", "worker")
    await site.run_pipeline(2021)
    client = await _client(site)
    await _says(client, "^live$")

    seen = await site.run_pipeline(2022)
    await _says(client, f"{seen} .* SUCCESS$")
    await site.stop(api)
    await _says(client, "^connection lost")
    unseen = await site.run_pipeline(2023)
    await site.serve("api again")
    resumed = await _says(client, f"{unseen} .* SUCCESS$")
    last = await site.run_pipeline(2024)
    await _says(client, f"{last} .* SUCCESS$")
    client.send_signal(signal.SIGINT)

    proof = await _says(client, "missed|MISSED")
    assert proof[-1] == "nothing was missed: 4 pipelines"
    assert await client.wait() == 0
    assert not [line for line in resumed if "FeedReset" in line or seen in line]


async def test_the_proof_fails_for_a_list_that_missed_something(
    site: Site, follow: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    await site.serve("api")
    site.start("worker", "worker", "--drain")
    await site.run_pipeline(2021)
    server = follow.Server(site.url, site.environment["GQL_TOKEN"])
    page = (await server.ask(follow.PAGE, first=25))["pipelines"]
    whole, stale, short = (follow.LiveList(page) for _ in range(3))
    stale.rows = {id: row | {"status": "RUNNING"} for id, row in stale.rows.items()}
    short.rows = {}

    assert [await server.has_missed_nothing(each) for each in (whole, stale, short)] == [True, False, False]


def _row(number: int, **values: Any) -> dict[str, Any]:
    return {"id": f"id {number}", "pipelineId": f"{number:04}", "status": "RUNNING", **values}


def _page(*rows: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"nodes": list(rows), "pageInfo": {"hasNextPage": more}, "feedToken": "t0"}


def test_a_list_knows_what_is_on_other_pages(follow: ModuleType):
    pipelines = follow.LiveList(_page(_row(9), _row(5), more=True))

    for number, token in ((4, "t1"), (7, "t2")):
        pipelines.apply({"__typename": "PipelineChanged", "token": token, "pipeline": _row(number)})
    pipelines.apply({"__typename": "PipelineLeft", "token": "t3", "pipelineNodeId": "id 9"})

    assert list(pipelines.rows) == ["id 5", "id 7"]
    assert pipelines.token == "t3"
    assert pipelines.is_like(_page(_row(7), _row(5), _row(4)))
    assert not pipelines.is_like(_page(_row(9), _row(7), _row(5)))


def test_a_list_that_grows_lets_its_oldest_go(follow: ModuleType):
    pipelines = follow.LiveList(_page())

    for number in range(follow.KEPT + 5):
        pipelines.apply({"__typename": "PipelineEntered", "token": f"t{number}", "pipeline": _row(number)})

    assert len(pipelines.rows) == follow.KEPT
    assert pipelines.oldest == "0005"
    assert pipelines.is_like(_page(*[_row(number) for number in range(follow.KEPT + 5)]))


def test_a_reset_counts_only_with_its_snapshot(follow: ModuleType):
    pipelines = follow.LiveList(_page(_row(1)))

    pipelines.apply({"__typename": "FeedReset", "token": "t1"})
    before = pipelines.token
    pipelines.apply({"__typename": "FeedSnapshot", "token": "t1", "pipelines": _page(_row(2))})

    assert (before, pipelines.token, list(pipelines.rows)) == ("t0", "t1", ["id 2"])


def test_the_readme_shows_what_the_files_do():
    section = (ROOT / "README.md").read_text("utf-8").partition("\n## Subscribe\n")[2].partition("\n## ")[0]
    files = [path.read_text("utf-8") for path in FOLDER.iterdir() if path.is_file()]
    lines = [[line.strip() for line in file.splitlines()] for file in files]
    snippets = re.findall(r"^```(?:js|python|graphql)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)

    assert len(snippets) >= 2
    for snippet in snippets:
        wanted = [line.strip() for line in textwrap.dedent(snippet).splitlines()]
        assert any(wanted == each[at : at + len(wanted)] for each in lines for at in range(len(each))), snippet
