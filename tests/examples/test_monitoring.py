"""The example rules and dashboard: Prometheus takes them, and what they ask for is there."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.app import create_app, create_worker, worker_metrics
from gql_server.db.models import JobResult
from gql_server.http.graphiql import PageConfig
from gql_server.settings import Settings
from tests import build

FOLDER = Path(__file__).parents[2] / "examples" / "monitoring"
NAME = re.compile(r"\bgql_[a-z_]+\b")
SUFFIX = re.compile(r"_(total|bucket|sum|count)$")
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


async def exposed(dsn: str, engine: AsyncEngine) -> str:
    """The metrics of an API and of a worker, over a ledger with a failure and a stale scope."""
    async with engine.begin() as connection:
        failed = await build.pipeline(connection)
        await build.job(connection, failed, result=JobResult.ERROR, failure_class="DEADLOCK", failure_fingerprint="f")
        await build.settle(connection, failed)
        await build.job(connection)
        await build.reports(connection, 1)
    settings = Settings(jwt_secret=SecretStr("a secret that is long enough for HS256"))
    app = create_app(settings, dsn, PageConfig())
    worker, own_engine = create_worker(settings, dsn)
    try:
        async with app.router.lifespan_context(app):
            running = worker.run(drain=True)
            await running
            return "".join([await scraped(app.state.metrics), await scraped(worker_metrics(worker, own_engine))])
    finally:
        await own_engine.dispose()


async def scraped(app: Any) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return (await client.get("/metrics")).text


def expressions() -> Iterator[str]:
    yield (FOLDER / "alerts.yml").read_text()
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


async def test_every_metric_that_an_alert_or_a_panel_asks_for_is_exposed(dsn: str, engine: AsyncEngine):
    there = {family.name for family in text_string_to_metric_families(await exposed(dsn, engine))}

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
