"""Traces: an operation with what it reads, a pipeline with its jobs, in the trace that its client began; while off, nothing."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
import structlog
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

import gql_server.db.engine
from gql_server import tracing
from gql_server.app import create_app
from gql_server.db.models import JobResult, Pipeline
from gql_server.http.authentication import TokenAuthority
from gql_server.http.graphiql import PageConfig
from gql_server.logs import with_names
from gql_server.processes.traces import record_traces
from gql_server.settings import Settings
from gql_server.worker import JobError
from tests import build
from tests.effort import calls_of
from tests.ledger.conftest import Ledger, work

__all__ = ["work"]
TRACE, PLACE = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PLACE}-01"
SETTINGS = Settings(jwt_secret=SecretStr("a secret that is long enough for HS256"))


@pytest.fixture
def spans() -> Generator[InMemorySpanExporter]:
    """Spans that have ended, while traces are on."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider.get_tracer("tests"))
    yield exporter
    tracing.use(None)


@pytest.fixture
async def app(dsn: str) -> AsyncGenerator[Any]:
    app = create_app(SETTINGS, dsn, PageConfig())
    async with app.router.lifespan_context(app):
        yield app


async def ask(app: Any, query: str, **headers: str) -> httpx.Response:
    token = TokenAuthority.of(SETTINGS).mint("operator")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.post("/graphql", json={"query": query}, headers={"Authorization": f"Bearer {token}", **headers})


def tree(spans: InMemorySpanExporter) -> dict[str, str]:
    """Names of the spans, each with that of what it is in."""
    ended = spans.get_finished_spans()
    names = {place(span).span_id: span.name for span in ended}
    return {span.name: names.get(span.parent.span_id, f"{span.parent.span_id:016x}") if span.parent else "" for span in ended}


def place(span: ReadableSpan) -> SpanContext:
    assert span.context is not None
    return span.context


def trace_of(span: ReadableSpan) -> str:
    return f"{place(span).trace_id:032x}"


async def test_an_operation_is_in_its_request_and_what_it_reads_in_it(
    spans: InMemorySpanExporter, app: Any, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gql_server.db.engine, "TOLD_NANOSECONDS", 0)
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS, JobResult.SUCCESS)
    spans.clear()

    with structlog.testing.capture_logs(processors=[with_names]) as logs:
        response = await ask(
            app, "query Page { pipelines(first: 1) { nodes { jobs { nodes { jobId } } } } }", traceparent=GIVEN
        )

    assert {trace_of(span) for span in spans.get_finished_spans()} == {TRACE}
    found = tree(spans)
    assert found["POST /graphql"] == PLACE
    assert found["query Page"] == "POST /graphql"
    assert found["load page_by_pipeline"] == "query Page"
    assert found["load page"] == "query Page"
    assert {*found} == {"POST /graphql", "query Page", "load page", "load page_by_pipeline", "SELECT", "WITH"}
    [request] = [span for span in spans.get_finished_spans() if span.name == "POST /graphql"]
    assert response.headers["traceparent"] == f"00-{TRACE}-{place(request).span_id:016x}-01"
    assert [line["trace_id"] for line in logs if line["event"] == "request.ended"] == [TRACE]


@pytest.mark.parametrize(
    ("error", "status", "events"),
    [
        (ValueError("no"), (StatusCode.ERROR, "ValueError: no"), ["exception"]),
        (asyncio.CancelledError(), (StatusCode.UNSET, None), []),
    ],
)
def test_a_span_says_what_failed_in_it_and_ends_with_it(
    spans: InMemorySpanExporter, error: BaseException, status: Any, events: list[str]
) -> None:
    with tracing.span("outer") as outer:
        with pytest.raises(type(error)), tracing.child("inner"):
            raise error
        assert trace.get_current_span() is outer

    inner, _ = spans.get_finished_spans()
    assert (inner.status.status_code, inner.status.description) == status
    assert [event.name for event in inner.events] == events
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_span_takes_little_more_work_than_to_start_and_to_end_it() -> None:
    tracer = TracerProvider().get_tracer("tests")
    tracing.use(tracer)

    def spanned() -> None:
        with tracing.span("a"):
            pass

    spanned()
    _, bare = calls_of(lambda: tracer.start_span("a").end())
    _, ours = calls_of(spanned)
    tracing.use(None)

    assert ours - bare < 25


async def test_a_pipeline_is_one_trace_in_which_its_client_began_it_and_its_jobs_are_spans(
    spans: InMemorySpanExporter, work: Ledger
) -> None:
    with tracing.span("upload", parent=tracing.continued(GIVEN)):
        await work.submit()
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        await work.worker().run(drain=True)

    ended = [span for span in spans.get_finished_spans() if span.name.startswith(("job ", "upload"))]
    assert sorted(span.name for span in ended) == [
        "job aggregation",
        "job csv_ingest",
        *["job emission_recalc"] * 3,
        "upload",
    ]
    assert {trace_of(span) for span in ended} == {TRACE}
    upload = next(span for span in ended if span.name == "upload")
    assert {span.parent.span_id for span in ended if span.parent and span is not upload} == {place(upload).span_id}
    attributes = next(span for span in ended if span.name == "job csv_ingest").attributes or {}
    assert (attributes["attempt"], attributes["job_type"]) == (1, "csv_ingest")
    assert {line["trace_id"] for line in logs if line["event"] == "job.finished"} == {TRACE}


@pytest.mark.parametrize(
    ("place", "recorded"),
    [(GIVEN, True), (f"{GIVEN[:-2]}00", False), (f"{GIVEN[:-2]}03", True), ("nonsense", False), (None, False)],
)
def test_a_place_in_a_trace_says_whether_that_is_recorded(place: str | None, recorded: bool) -> None:
    assert tracing.is_recorded(place) is recorded


async def test_a_pipeline_whose_upload_was_not_recorded_is_in_a_trace_of_its_own_number(
    spans: InMemorySpanExporter, work: Ledger
) -> None:
    with tracing.span("upload", parent=tracing.continued(f"{GIVEN[:-2]}00")):
        submitted = await work.submit("noop")

    await work.worker().run(drain=True)

    jobs = [span for span in spans.get_finished_spans() if span.name.startswith("job ")]
    assert "job noop" in {job.name for job in jobs}
    assert {trace_of(job) for job in jobs} == {submitted.pipeline_id.hex}


async def test_a_pipeline_that_nobody_began_a_trace_for_has_one_of_its_own_number(
    spans: InMemorySpanExporter, work: Ledger
) -> None:
    tracing.use(None)
    submitted = await work.submit("noop")
    async with work.engine.connect() as connection:
        assert await connection.scalar(select(Pipeline.traceparent)) is None
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracing.use(provider.get_tracer("tests"))

    await work.worker().run(drain=True)

    [job] = [span for span in spans.get_finished_spans() if span.name == "job noop"]
    assert trace_of(job) == submitted.pipeline_id.hex


async def test_a_job_that_failed_says_so_in_its_span(spans: InMemorySpanExporter, work: Ledger) -> None:
    async def refuse(*_: Any) -> Any:
        raise JobError("the file is empty")

    work.behaviours["noop"] = refuse
    await work.submit("noop")

    await work.worker().run(drain=True)

    [job] = [span for span in spans.get_finished_spans() if span.name == "job noop"]
    assert (job.status.status_code, job.status.description) == (StatusCode.ERROR, "the file is empty")


async def test_while_traces_are_off_the_clients_place_is_kept_for_the_pipeline_and_nothing_is_recorded(
    app: Any, work: Ledger
) -> None:
    tracing.TRACEPARENT.set(GIVEN)
    await work.submit("noop")

    response = await ask(app, "{ viewer { id } }", traceparent=GIVEN)

    async with work.engine.connect() as connection:
        assert await connection.scalar(select(Pipeline.traceparent)) == GIVEN
    assert response.headers["traceparent"] == GIVEN
    assert tracing.child("anything") is tracing.UNRECORDED


async def test_what_is_recorded_reaches_a_collector() -> None:
    arrived: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            arrived.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = Settings(otlp_endpoint=f"http://127.0.0.1:{server.server_port}", trace_share=1.0)
    try:
        provider = record_traces(settings)
        with tracing.span("job noop", attempt=1):
            pass
        assert provider is not None
        await asyncio.to_thread(provider.shutdown)
    finally:
        tracing.use(None)
        server.shutdown()
        server.server_close()

    [resource] = arrived[0].resource_spans
    assert [span.name for span in resource.scope_spans[0].spans] == ["job noop"]
    assert {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"] == "gql-server"
