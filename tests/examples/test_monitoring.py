"""The example rules and dashboard: Prometheus takes them, and what they ask for is there."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.app import create_app, create_worker, worker_metrics
from gql_server.db.embedded.cluster import free_port
from gql_server.db.models import JobResult
from gql_server.http.authentication import TokenAuthority
from gql_server.http.graphiql import PageConfig
from gql_server.settings import Settings
from tests import build
from tests.provider import listening

FOLDER = Path(__file__).parents[2] / "examples" / "monitoring"
NAME = re.compile(r"\bgql_[a-z_]+\b")
SUFFIX = re.compile(r"_(total|bucket|sum|count)$")
BY = re.compile(r"\bby \(([^)]*)\)")
needs_prometheus = pytest.mark.skipif(not shutil.which("prometheus"), reason="it is Debian's package prometheus")
needs_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool comes with Debian's package prometheus")


def promtool(*arguments: str, given: str | None = None) -> str:
    ran = subprocess.run(["promtool", *arguments], cwd=FOLDER, input=given, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@needs_promtool
def test_prometheus_takes_the_configuration_and_its_rules():
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


@needs_promtool
def test_alerts_are_raised_when_they_should_be_and_say_what_is_wrong():
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


@asynccontextmanager
async def watched(dsn: str, engine: AsyncEngine) -> AsyncGenerator[list[Any]]:
    """The ports for machines of an API and of a worker, over a ledger with a failure and a stale scope."""
    async with engine.begin() as connection:
        failed = await build.pipeline(connection)
        await build.job(connection, failed, result=JobResult.ERROR, failure_class="DEADLOCK", failure_fingerprint="f")
        await build.settle(connection, failed)
        await build.job(connection)
    settings = Settings(jwt_secret=SecretStr("a secret that is long enough for HS256"))
    app = create_app(settings, dsn, PageConfig())
    worker, own_engine = create_worker(settings, dsn)
    try:
        async with app.router.lifespan_context(app):
            await worker.run(drain=True)
            async with engine.begin() as connection:
                await build.reports(connection, 1)
                await build.job(connection, module_type_id=1, result=JobResult.SUCCESS)
                await build.job(connection)
            await ask(app, settings, "{ pipelines(first: 1) { nodes { jobs(first: 1) { nodes { kind } } } } }", "{ nonsense }")
            yield [app.state.metrics, worker_metrics(worker, own_engine)]
    finally:
        await own_engine.dispose()


async def ask(app: Any, settings: Settings, *queries: str) -> None:
    headers = {"Authorization": f"Bearer {TokenAuthority.of(settings).mint('operator', provider='DEFAULT')}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as client:
        for query in queries:
            await client.post("/graphql", json={"query": query})


async def scraped(app: Any) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return (await client.get("/metrics")).text


def expressions() -> Iterator[str]:
    yield (FOLDER / "alerts.yml").read_text()
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


async def test_every_metric_that_an_alert_or_a_panel_asks_for_is_exposed(dsn: str, engine: AsyncEngine):
    async with watched(dsn, engine) as ports:
        exposed = "".join([await scraped(port) for port in ports])
    there = {family.name for family in text_string_to_metric_families(exposed)}

    asked = {SUFFIX.sub("", name) for expression in expressions() for name in NAME.findall(expression)}

    assert {name for name in asked if name not in there} == set()


@needs_promtool
def test_every_expression_of_the_dashboard_is_one(tmp_path: Path):
    rules = [{"record": f"panel:{index}", "expr": each} for index, each in enumerate([*expressions()][1:])]
    plain = json.dumps({"groups": [{"name": "panels", "rules": rules}]}).replace("$provider", ".*")
    (tmp_path / "panels.yml").write_text(plain)

    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "panels.yml"))


@needs_promtool
def test_our_metrics_are_named_as_prometheus_wants_them():
    ours = "\n".join(line for line in generate_latest().decode().splitlines() if "gql_" in line)

    promtool("check", "metrics", given=ours + "\n")


class Prometheus:
    """A Prometheus with the example's rules that scrapes these addresses."""

    def __init__(self, folder: Path, targets: list[str]) -> None:
        self._folder, self._port = folder, free_port()
        shutil.copy(FOLDER / "alerts.yml", folder)
        given = (FOLDER / "prometheus.yml").read_text().replace("15s", "1s")
        (folder / "prometheus.yml").write_text(given.replace('["127.0.0.1:9090"]', json.dumps(targets)))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[httpx.AsyncClient]:
        """A client of its API, once it has scraped its targets and evaluated its rules."""
        options = ("--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{self._port}")
        with (self._folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec("prometheus", *options, cwd=self._folder, stdout=log, stderr=log)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}/api/v1", timeout=30) as client:
                async with asyncio.timeout(90):
                    while not await self._is_ready(client):
                        assert process.returncode is None, (self._folder / "log").read_text()
                        await asyncio.sleep(0.2)
                yield client
        finally:
            process.terminate()
            await process.wait()

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            targets = await answer(client, "targets")
            groups = await answer(client, "rules")
        except httpx.HTTPError:
            return False
        rules = [rule for group in groups["groups"] for rule in group["rules"]]
        is_up = {target["health"] for target in targets["activeTargets"]} == {"up"}
        return is_up and bool(rules) and all(rule["health"] != "unknown" for rule in rules)


async def answer(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    """The data of an answer of Prometheus."""
    response = await client.get(f"/{path}", params=parameters)
    told = response.raise_for_status().json()
    assert told["status"] == "success", told
    return told["data"]


@needs_prometheus
async def test_a_prometheus_that_scrapes_us_answers_every_panel_and_evaluates_every_rule(
    dsn: str, engine: AsyncEngine, tmp_path: Path
):
    """By labels that the series have: one too many would make a single series of all."""
    panels = [each.replace("$provider", ".*") for each in [*expressions()][1:]]
    async with watched(dsn, engine) as (api, worker), listening(api) as one, listening(worker) as other:
        targets = [url.removeprefix("http://") for url in (one, other)]
        async with Prometheus(tmp_path, targets).running() as client:
            names = sorted({name for expression in expressions() for name in NAME.findall(expression)})
            series = {name: await answer(client, "series", **{"match[]": name}) for name in names}
            groups = (await answer(client, "rules"))["groups"]
            answers = [await answer(client, "query", query=panel) for panel in panels]

    rules = [rule for group in groups for rule in group["rules"]]
    assert {(rule["name"], rule["health"], rule.get("lastError", "")) for rule in rules} == {
        (rule["name"], "ok", "") for rule in rules
    }
    assert len(rules) == (FOLDER / "alerts.yml").read_text().count("- alert: ")
    assert {each["resultType"] for each in answers} == {"vector"}
    assert {name for name, found in series.items() if not found} == set()
    assert "INTERNAL" in {each["code"] for each in series["gql_errors_total"]}, "an increase from nothing is none"
    for expression in [*panels, *(rule["query"] for rule in rules)]:
        known = set[str]().union(*(labels for name in NAME.findall(expression) for labels in series[name]))
        assert {label for by in BY.findall(expression) for label in re.findall(r"\w+", by)} <= known, expression
