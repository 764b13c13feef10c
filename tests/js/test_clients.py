"""Well-known JavaScript clients against a real server that restarts. (Python's gql is tested by its example.)"""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import Provider
from gql_server.http.authentication import TokenAuthority
from tests.site import SECRET, Site, opened

pytestmark = pytest.mark.clients

FOLDER = Path(__file__).parent
PACKAGE = "../../frontend/client/test/live.js"
NODE = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


class Client:
    """A JavaScript client that says what it sees."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._input, self._output = process.stdin, process.stdout
        self.said: list[str] = []

    @classmethod
    async def start(
        cls, name: str, site: Site, program: str = "follow.js", **environment: str
    ) -> tuple["Client", asyncio.subprocess.Process]:
        assert NODE, "Node comes with the development tools"
        process = await asyncio.create_subprocess_exec(
            *(NODE, program, name),
            cwd=FOLDER,
            env={**os.environ, **site.environment, "GQL_URL": site.url, **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process), process

    async def says(self, *words: str) -> str:
        """The next line that begins with the first word, and has the others."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                while line := (await self._output.readline()).decode().rstrip():
                    self.said.append(line)
                    if line.startswith(words[0]) and all(word in line for word in words):
                        return line
        raise AssertionError(self.said)

    def follow(self, pipeline: str) -> None:
        self._input.write(f"{pipeline}\n".encode())

    def leave(self) -> None:
        self._input.close()


@pytest.fixture
async def site(dsn: str, engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(dsn, engine, tmp_path) as site:
        yield site


@pytest.mark.parametrize("name", ["graphql-ws", "graphql-sse", "urql"])
async def test_a_client_asks_follows_and_comes_again_after_a_restart(site: Site, name: str):
    api = await site.serve("api")
    site.start("worker", "worker")
    first = await site.run_pipeline(2021)
    client, process = await Client.start(name, site)
    try:
        assert await client.says("page") == "page 1"
        client.follow(first)
        assert await client.says("ended") == f"ended {first} SUCCESS"
        seen = await site.run_pipeline(2022)
        await client.says("list", seen, "SUCCESS")

        await site.stop(api)
        if name != "graphql-sse":
            assert await client.says("closed") == "closed 1012"
        unseen = await site.run_pipeline(2023)
        api = await site.serve("api again")
        before = len(client.said)
        await client.says("list", unseen, "SUCCESS")
        last = await site.run_pipeline(2024)
        await client.says("list", last, "SUCCESS")
    finally:
        client.leave()
        async with asyncio.timeout(10):
            assert await process.wait() == 0

    resumed = [line for line in client.said[before:] if line.startswith("list")]
    assert not [line for line in resumed if "FeedReset" in line or first in line or seen in line]


@pytest.mark.parametrize("name", ["alone", "urql"])
async def test_a_list_of_our_package_goes_on_after_a_restart_with_nothing_lost_or_told_twice(site: Site, name: str):
    api = await site.serve("api")
    site.start("worker", "worker")
    first = await site.run_pipeline(2021)
    client, process = await Client.start(name, site, PACKAGE)
    try:
        assert await client.says("list") == f"list {first}:SUCCESS"
        second = await site.run_pipeline(2022)
        await client.says("list", f"list {second}:SUCCESS {first}:SUCCESS")

        await site.stop(api)
        await client.says("connection reconnecting")
        unseen = await site.run_pipeline(2023)
        before = len(client.said)
        api = await site.serve("api again")
        await client.says("list", f"list {unseen}:SUCCESS {second}:SUCCESS {first}:SUCCESS")
    finally:
        client.leave()
        async with asyncio.timeout(10):
            assert await process.wait() == 0

    assert [line for line in client.said if line.startswith("failed")] == []
    assert [line for line in client.said[before:] if line.startswith("told") and unseen not in line] == []
    assert len([line for line in client.said if line == f"told PipelineEntered {unseen}"]) == 1


async def test_a_list_of_our_package_goes_on_with_another_token_when_its_own_has_ended(site: Site):
    short = TokenAuthority(SECRET, "gql-server", "gql-server").mint(
        "operator", provider=Provider.ACCRED, lifetime=timedelta(seconds=10)
    )
    await site.serve("api")
    site.start("worker", "worker")
    client, process = await Client.start("alone", site, PACKAGE, GQL_FIRST_TOKEN=short)
    try:
        assert await client.says("list") == "list"
        await client.says("connection live")
        await client.says("renewed")
        seen = await site.run_pipeline(2021)
        await client.says("list", f"list {seen}:SUCCESS")
    finally:
        client.leave()
        async with asyncio.timeout(10):
            assert await process.wait() == 0

    assert [line for line in client.said if line.startswith("failed")] == []
    assert client.said.count("renewed") == 1
