"""The longest time that one request holds the event loop: each large field of a pipeline of thousands of jobs, asked alone."""

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench.database import connected
from bench.graph import Graph
from bench.report import table
from gql_server.processes import heap

COLUMNS = ("field", "longest CPU ms", "of it collector", "longest ms", "answer ms")
JOBS = 5_000
ROUNDS = 3
TICK_SECONDS = 0.001
FIELDS = {
    "timeline": "timeline(first: 200) { nodes { at kind message actor { displayName } job { jobId } } pageInfo { endCursor } }",
    "diagnosis": "diagnosis { code severity message remedy action since job { jobId } blockedBy { pipelineId } }",
    "graph": "graph { nodes { jobId kind } edges { from to } criticalPath mermaid }",
    "progress": "progress { fraction phaseIndex }",
    "comparison": "comparison { rowsDelta newFailures { title } slowestJobs { deltaSeconds } }",
    "failures": "failures { title class }",
    "ticket": "ticketMarkdown",
    "jobs": "jobs(first: 200) { nodes { jobId message diagnosis { code remedy } } }",
}
FACETS = (
    "{ pipelines(first: 50) { totalCount { value } facets(keys: [STATUS, KIND, YEAR]) { values { value count { value } } } } }"
)

_PIPELINE = text("""
INSERT INTO pipelines (provider, kind, status, entity_type, module_type_id, year, job_count, error_count)
VALUES ('ACCRED', 'csv_ingest', 'FAILED', 'MODULE_PER_YEAR', 4, 2025, :jobs, :jobs) RETURNING id
""")
_JOBS = text("""
INSERT INTO data_ingestion_jobs (pipeline_id, provider, job_type, entity_type, module_type_id, data_entry_type_id, year, state,
  result, status_message, attempts, started_at, finished_at, failure_class, failure_fingerprint, meta)
SELECT :id, 'ACCRED', CASE WHEN n = 1 THEN 'csv_ingest' WHEN n % 2 = 0 THEN 'emission_recalc' ELSE 'aggregation' END,
  'MODULE_PER_YEAR', 4, 10 + n % 3, 2025, 'FINISHED', 'ERROR', 'the reason of ' || n, 1, now() - interval '1 hour', now(),
  'UNCLASSIFIED', md5(n::text), jsonb_build_object('status_history', (
    SELECT jsonb_agg(jsonb_build_object('message', 'row ' || m, 'ts', to_char(now() - m * interval '1 s',
      'YYYY-MM-DD"T"HH24:MI:SS.US+00:00'))) FROM generate_series(1, 50) m))
FROM generate_series(1, :jobs) n
""")
_GROUPS = text("""
INSERT INTO failure_groups (provider, fingerprint, failure_class, job_type, title, cause, rule)
SELECT DISTINCT ON (failure_fingerprint) provider, failure_fingerprint, failure_class, job_type, 'Unclassified',
  status_message, 'no other rule applies'
FROM data_ingestion_jobs WHERE failure_fingerprint IS NOT NULL
""")


async def run(dsn: str, jobs: int = JOBS, rounds: int = ROUNDS) -> None:
    """Print how long each field holds the loop at most, and the time until the answer, in a process as `serve` settles it."""
    async with connected(dsn) as engine:
        async with engine.begin() as connection:
            pipeline_id = await fill(connection, jobs)
        await _analyze(engine)
        graph = Graph(engine)
        await graph.ask("{ viewer { id } }", {})
        heap.settle()
        queries = {
            name: f'{{ pipeline(by: {{ pipelineId: "{pipeline_id}" }}) {{ {field} }} }}' for name, field in FIELDS.items()
        }
        rows = [await _measured(graph, name, query, rounds) for name, query in {**queries, "facets": FACETS}.items()]
        await graph.close()
    table(f"loop: event loop held by one request, pipeline of {jobs} jobs", COLUMNS, rows)


async def fill(connection: AsyncConnection, jobs: int) -> UUID:
    """A failed pipeline of so many jobs, each with a history of fifty entries; returns its id."""
    pipeline_id = (await connection.execute(_PIPELINE, {"jobs": jobs})).scalar_one()
    await connection.execute(_JOBS, {"id": pipeline_id, "jobs": jobs})
    await connection.execute(_GROUPS)
    return pipeline_id


async def _analyze(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("VACUUM ANALYZE pipelines, data_ingestion_jobs, failure_groups"))


async def _measured(graph: Graph, name: str, query: str, rounds: int) -> list[str]:
    await graph.ask(query, {})
    holds, took = list[Hold](), list[float]()
    for _ in range(rounds):
        began = time.perf_counter()
        async with _holds() as held:
            await graph.ask(query, {})
        took.append(time.perf_counter() - began)
        holds += held
    cpu, collector, wall = (max(times) * 1000 for times in zip(*holds, strict=True))
    return [name, f"{cpu:.1f}", f"{collector:.1f}", f"{wall:.1f}", f"{min(took) * 1000:.1f}"]


class Hold(NamedTuple):
    """Seconds between two turns of a ticking task: of processor time, of the garbage collector's, and by the clock.

    On a machine with other work the clock tells how long others had the processor; the first two do not.
    """

    cpu: float
    collector: float
    wall: float


@asynccontextmanager
async def _holds() -> AsyncGenerator[list[Hold]]:
    """Times for which the loop was held between the turns of a ticking task."""
    holds = [Hold(0, 0, 0)]

    async def tick(collector: Collector) -> None:
        cpu, wall = time.thread_time(), time.perf_counter()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.thread_time(), time.perf_counter()
            holds.append(Hold(now[0] - cpu, collector.taken(), max(0.0, now[1] - wall - TICK_SECONDS)))
            cpu, wall = now

    with collecting() as collector:
        ticking = asyncio.create_task(tick(collector))
        await asyncio.sleep(0)
        try:
            yield holds
            await asyncio.sleep(2 * TICK_SECONDS)
        finally:
            ticking.cancel()


class Collector:
    """Processor time of the garbage collector."""

    _began = _seconds = 0.0

    def __call__(self, phase: str, _: object) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self._seconds += time.thread_time() - self._began

    def taken(self) -> float:
        """Seconds since this was last asked."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


@contextmanager
def collecting() -> Generator[Collector]:
    """Times that the garbage collector takes meanwhile."""
    collector = Collector()
    gc.callbacks.append(collector)
    try:
        yield collector
    finally:
        gc.callbacks.remove(collector)
