"""Metrics as Prometheus scrapes them: of operations, of loaders, of the ledger, and of a worker."""

import asyncio
import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.app import create_app
from gql_server.db.models import JobResult, JobState, JobType, Provider
from gql_server.http.authentication import TokenAuthority
from gql_server.http.graphiql import PageConfig
from gql_server.http.ledger_metrics import LedgerMetrics
from gql_server.http.metrics import metrics_app
from gql_server.metrics import OperationLabels
from gql_server.settings import Settings
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client

SECRET = SecretStr("a secret that is long enough for HS256")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scrape(app: Any) -> Samples:
    """Samples by name and labels."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        response = await client.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


@pytest.fixture
async def app(dsn: str) -> AsyncGenerator[Any]:
    settings = Settings(jwt_secret=SECRET)
    app = create_app(settings, dsn, PageConfig())
    app.state.settings = settings
    async with app.router.lifespan_context(app):
        yield app


class Served(Client):
    """A client of the whole application."""

    def __init__(self, app: Any) -> None:
        self.headers = {"Authorization": f"Bearer {TokenAuthority.of(app.state.settings).mint('operator')}"}
        self.transport = httpx.ASGITransport(app)


async def test_operations_are_counted_by_what_they_are_known_as_and_how_they_ended(app: Any) -> None:
    before = await scrape(app.state.metrics)
    client = Served(app)

    await client.query("query WhoAmI { viewer { id } }")
    await client.query("query WhoAmI { viewer { id } }")
    await client.execute("{ nothing }")
    await client.execute("{")

    after = await scrape(app.state.metrics)
    grown = {name: value - before.get(name, 0) for name, value in after.items() if name[0].endswith("_total")}
    assert grown[key("gql_operations_total", operation="WhoAmI", type="query", outcome="ok")] == 2
    assert grown[key("gql_operations_total", operation="invalid", type="query", outcome="refused")] == 1
    assert grown[key("gql_operations_total", operation="invalid", type="invalid", outcome="refused")] == 1
    assert grown[key("gql_errors_total", code="GRAPHQL_VALIDATION_FAILED")] == 1
    assert grown[key("gql_errors_total", code="GRAPHQL_PARSE_FAILED")] == 1
    assert grown[key("gql_http_requests_total", route="/graphql", method="POST", status="200")] == 4
    assert after[key("gql_operation_seconds_count", operation="WhoAmI")] >= 2


async def test_a_loader_counts_its_statements_and_the_keys_that_they_answer(app: Any, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for _ in range(3):
            await build.run(connection, JobResult.SUCCESS, JobResult.SUCCESS)
    before = await scrape(app.state.metrics)

    await Served(app).query("{ pipelines(first: 3) { nodes { jobs { nodes { jobId } } } } }")

    after = await scrape(app.state.metrics)
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    asked, lists = key("", query="jobs.list.page_by_pipeline")[1], key("", query="pipelines.queries.page")[1]
    keys = {labels: n for (name, labels), n in grown.items() if name == "gql_loader_keys_total" and n}
    batches = {labels: n for (name, labels), n in grown.items() if name == "gql_loader_batches_total" and n}
    assert keys == {asked: 3, lists: 1}
    assert batches == {asked: 1, lists: 1}


async def test_the_port_shows_pools_the_feed_and_sockets(app: Any) -> None:
    await Served(app).query("{ viewer { id } pipelines(first: 1) { nodes { id } } }")

    found = await scrape(app.state.metrics)

    assert found[key("gql_pool_connections_max", pool="read")] == 10
    assert found[key("gql_pool_connections", pool="read", state="in_use")] == 0
    assert found[key("gql_pool_connections", pool="read", state="idle")] >= 1
    assert (found[key("gql_sockets_open")], found[key("gql_live_operations")], found[key("gql_feed_deaf")]) == (0, 0, 0)
    assert found[key("gql_feed_position")] >= 0


async def test_the_ledger_is_shown_as_its_operators_see_it(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS, JobResult.SUCCESS)
        failed = await build.pipeline(connection)
        await build.job(connection, failed, result=JobResult.ERROR, failure_class="DEADLOCK", failure_fingerprint="f")
        await build.settle(connection, failed)
        await build.worker(connection, "a")
        await build.job(connection, job_type=JobType.UNIT_SYNC, provider=Provider.TEST)
        await build.job(connection, state=JobState.RUNNING, locked_by="nobody")
        await build.reports(connection, 1)
        await build.job(connection, module_type_id=1, result=JobResult.SUCCESS)

    with statements(engine) as executed:
        found = await scrape(metrics_app([ledger := LedgerMetrics(engine, feed)], unasked, ledger))

    assert len(executed) == 10
    shown = {name[0]: value for name, value in found.items() if dict(name[1]).get("provider", "DEFAULT") == "DEFAULT"}
    assert found[key("gql_pipelines", provider="DEFAULT", status="SUCCESS")] == 1
    assert found[key("gql_pipelines", provider="DEFAULT", status="FAILED")] == 1
    assert found[key("gql_pipelines", provider="TEST", status="FAILED")] == 0
    assert found[key("gql_pipelines_failed", provider="DEFAULT", failure_class="DEADLOCK")] == 1
    assert (shown["gql_pipelines_unresolved"], shown["gql_jobs_stuck"], shown["gql_workers_live"]) == (1, 1, 1)
    assert found[key("gql_jobs_queued", provider="TEST", job_type="unit_sync")] == 1
    assert found[key("gql_stale_scopes", provider="DEFAULT", reason="NO_AGGREGATION_EVER")] == 1
    assert found[key("gql_stale_scopes", provider="DEFAULT", reason="LAST_AGGREGATION_FAILED")] == 0
    stale = key("gql_stale_scope", provider="DEFAULT", year="2025", module="headcount", reason="NO_AGGREGATION_EVER")
    assert found[stale] == 1
    assert found[key("gql_ledger_up")] == 1


def feed() -> dict[str, Any]:
    return {"feed_sequence": None, "feed_is_deaf": False}


async def unasked(request: Any) -> Any:
    raise AssertionError


async def test_however_often_somebody_scrapes_the_ledger_is_read_once_in_a_while(engine: AsyncEngine) -> None:
    app = metrics_app([ledger := LedgerMetrics(engine, feed)], unasked, ledger)
    await scrape(app)

    with statements(engine) as executed:
        await asyncio.gather(*(scrape(app) for _ in range(5)))

    assert executed == []


async def test_while_the_ledger_cannot_be_read_nothing_old_is_shown_of_it(engine: AsyncEngine) -> None:
    app = metrics_app([ledger := LedgerMetrics(engine, feed, kept_seconds=0)], unasked, ledger)
    assert key("gql_workers_live") in await scrape(app)

    async with build.unreadable(engine, "data_ingestion_jobs"):
        found = await scrape(app)

    assert found[key("gql_ledger_up")] == 0
    assert key("gql_workers_live") not in found


def test_documents_that_nobody_knows_share_a_label_once_there_are_many() -> None:
    labels = OperationLabels(most=2)
    labels.know(["Console"])

    shown = [
        labels.of(name, digest)
        for name, digest in (("Console", "a"), ("Mine", "b"), (None, "c"), ("Theirs", "d"), ("Mine", "b"))
    ]

    assert shown == ["Console", "sha256:b", "sha256:c", "other", "sha256:b"]


async def test_an_operation_that_takes_long_is_named_in_the_log(dsn: str) -> None:
    settings = Settings(
        jwt_secret=SecretStr("a secret that is long enough for HS256"), slow_operation=timedelta(microseconds=1)
    )
    app = create_app(settings, dsn, PageConfig())
    app.state.settings = settings
    async with app.router.lifespan_context(app):
        with structlog.testing.capture_logs() as logs:
            await Served(app).query("query Console { viewer { id } }")

    [slow] = [line for line in logs if line["event"] == "operation.slow"]
    assert (slow["operation"], slow["operation_type"], slow["provider"], slow["subject"]) == (
        "Console",
        "query",
        "DEFAULT",
        "operator",
    )
    [request] = [line for line in logs if line["event"] == "request.ended"]
    assert (request["operation"], request["document"]) == ("Console", slow["document"])


async def test_operations_of_trusted_documents_go_by_their_names(dsn: str, tmp_path: Path) -> None:
    document = "query BoardOfMine { viewer { id } }"
    manifest = tmp_path / "persisted.json"
    manifest.write_text(json.dumps({sha256(document.encode()).hexdigest(): document}))
    settings = Settings(jwt_secret=SECRET, trusted_documents=(manifest,))
    app = create_app(settings, dsn, PageConfig())
    app.state.settings = settings
    async with app.router.lifespan_context(app):
        before = await scrape(app.state.metrics)
        await Served(app).query(document)
        after = await scrape(app.state.metrics)

    counted = key("gql_operations_total", operation="BoardOfMine", type="query", outcome="ok")
    assert after[counted] - before.get(counted, 0) == 1
