"""The plan executor beside graphql-core's own, on one schema, over the same rows in memory and the same loaders."""

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import strawberry
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

from gql_server.execution import Child, Computed, Native, Part, PlanExecutor
from gql_server.graph.scalars import SCALARS
from gql_server.reads.loaders import Loaders

ROUNDS = 9
START = datetime(2026, 1, 1, tzinfo=UTC)
JOB = "id jobId kind state result message startedAt finishedAt attempt durationSeconds"
CONSOLE = f"""query Console($first: Int!) {{ pipelines(first: $first) {{ edges {{ cursor node {{
id status kind jobCount errorCount startedAt finishedAt createdAt message
jobs(first: 20) {{ nodes {{ {JOB} }} }} }} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
WIDE = f"""{{ pipelines(first: 100) {{ nodes {{ id jobs(first: 20) {{ nodes {{
{JOB} maxAttempts retriesLeft isCurrent isAborted createdAt }} }} }} }} }}"""


@strawberry.enum
class Kind(Enum):
    CSV_INGEST = "CSV_INGEST"
    AGGREGATION = "AGGREGATION"


@strawberry.enum
class State(Enum):
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"


class JobRow(NamedTuple):
    job_id: int
    kind: str
    state: str
    result: str | None
    message: str | None
    started_at: datetime
    finished_at: datetime | None
    attempt: int
    duration_seconds: float
    max_attempts: int
    retries_left: int
    is_current: bool
    is_aborted: bool
    created_at: datetime


class PipelineRow(NamedTuple):
    key: UUID
    status: str
    kind: str
    job_count: int
    error_count: int
    started_at: datetime
    finished_at: datetime | None
    created_at: datetime
    message: str | None


class Edge(NamedTuple):
    cursor: str
    node: Any


class Page(NamedTuple):
    nodes: Sequence[Any]
    has_next_page: bool

    @property
    def edges(self) -> list[Edge]:
        return [Edge(str(row[0]), row) for row in self.nodes]

    @property
    def end_cursor(self) -> str | None:
        return str(self.nodes[-1][0]) if self.nodes else None


Info = strawberry.Info["Rows", None]


def global_id(type_name: str, key: str) -> Any:
    def read(value: object) -> str:
        return f"{type_name}:{value}"

    def resolve(root: strawberry.Parent[Any]) -> strawberry.ID:
        return strawberry.ID(read(getattr(root, key)))

    return strawberry.field(resolver=resolve, metadata={"plan": Computed(read, (key,))})


def part() -> Any:
    def resolve(root: strawberry.Parent[Any]) -> Any:
        return root

    return strawberry.field(resolver=resolve, metadata={"plan": Part()})


async def jobs_by_pipeline(connection: Any, viewer: Any, keys: Sequence[UUID], first: int) -> Mapping[UUID, Page]:
    return {key: Page(connection.jobs[key.int % len(connection.jobs)][:first], False) for key in keys}


def _given(_info: Any, first: int) -> dict[str, Any]:
    return {"first": first}


async def _many(context: "Rows", keys: Sequence[Any], **arguments: Any) -> Sequence[Any]:
    return await context.loaders.values(jobs_by_pipeline, keys, **arguments)


def jobs() -> Any:
    def resolve(root: strawberry.Parent[Any], info: Info, first: int) -> Any:
        return info.context.loaders.load(jobs_by_pipeline, root.key, first=first)

    return strawberry.field(resolver=resolve, metadata={"plan": Child("key", _many, _given)})


@strawberry.type
class Job:
    id: strawberry.ID = global_id("Job", "job_id")
    job_id: int
    kind: Kind
    state: State
    result: State | None
    message: str | None
    started_at: datetime
    finished_at: datetime | None
    attempt: int
    duration_seconds: float
    max_attempts: int
    retries_left: int
    is_current: bool
    is_aborted: bool
    created_at: datetime


@strawberry.type
class JobConnection:
    nodes: list[Job]


@strawberry.type
class Pipeline:
    id: strawberry.ID = global_id("Pipeline", "key")
    status: State
    kind: Kind
    job_count: int
    error_count: int
    started_at: datetime
    finished_at: datetime | None
    created_at: datetime
    message: str | None
    jobs: JobConnection | None = jobs()


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class PipelineEdge:
    cursor: str
    node: Pipeline


@strawberry.type
class PipelineConnection:
    edges: list[PipelineEdge]
    nodes: list[Pipeline]
    page_info: PageInfo = part()


@strawberry.type
class Viewer:
    id: strawberry.ID


@strawberry.type
class Query:
    @strawberry.field
    async def pipelines(self, info: Info, first: int) -> PipelineConnection:
        return Page(info.context.pipelines[:first], True)  # type: ignore[return-value]

    @strawberry.field
    def viewer(self) -> Viewer:
        return Viewer(id=strawberry.ID("user-1"))


class Rows:
    """The context: rows in memory, as an engine whose connections know them."""

    def __init__(self, pipelines: list[PipelineRow], jobs: list[list[JobRow]]) -> None:
        self.pipelines, self.jobs = pipelines, jobs
        self.loaders = Loaders(self, None)  # type: ignore[arg-type]

    def connect(self) -> "Rows":
        return self

    async def __aenter__(self) -> "Rows":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Executor(PlanExecutor):
    natives = {"DateTime": Native(datetime), "UUID": Native(UUID)}


def rows(pipelines: int, jobs: Callable[[int], int]) -> tuple[list[PipelineRow], list[list[JobRow]]]:
    """So many pipelines, and the jobs of each."""
    moment = [START + timedelta(seconds=number) for number in range(100)]
    of = [
        [
            JobRow(n, "CSV_INGEST", "FINISHED", None, "done", moment[n], None, 1, n / 3, 3, 2, True, False, moment[n])
            for n in range(jobs(number))
        ]
        for number in range(pipelines)
    ]
    listed = [
        PipelineRow(UUID(int=n), "RUNNING", "AGGREGATION", 4, 0, moment[n % 100], None, moment[n % 100], None)
        for n in range(pipelines)
    ]
    return listed, of


def _schema(executor: type[Any] | None) -> strawberry.Schema:
    caches = [ParserCache, ValidationCache]
    config = StrawberryConfig(scalar_map=SCALARS)
    return strawberry.Schema(query=Query, execution_context_class=executor, extensions=caches, config=config)


async def run(_dsn: str) -> None:
    """Prints milliseconds of CPU an operation, and how many times graphql-core's executor needs them."""
    schemas = {"plan": _schema(Executor), "graphql-core": _schema(None)}
    cases: Mapping[str, tuple[str, dict[str, Any], int, Callable[[int], int]]] = {
        "console: 50 pipelines, 215 jobs": (CONSOLE, {"first": 50}, 50, lambda number: 4 if number % 10 < 7 else 5),
        "viewer": ("{ viewer { id } }", {}, 1, lambda _: 1),
        "100 pipelines x 20 jobs x 15 fields": (WIDE, {}, 100, lambda _: 20),
    }
    for name, (document, variables, pipelines, of) in cases.items():
        made = rows(pipelines, of)
        answers = {who: await _answer(schema, document, variables, made) for who, schema in schemas.items()}
        assert len(set(answers.values())) == 1, name
        operations = {who: partial(_answer, schema, document, variables, made) for who, schema in schemas.items()}
        figures = await _interleaved(operations)
        ratios = [core / plan for plan, core in zip(figures["plan"], figures["graphql-core"], strict=True)]
        print(
            f"{name}: plan {statistics.median(figures['plan']):.3f} ms, graphql-core "
            f"{statistics.median(figures['graphql-core']):.3f} ms, {statistics.median(ratios):.1f} x "
            f"({min(ratios):.1f} to {max(ratios):.1f}), {len(answers['plan'])} bytes"
        )


async def _answer(schema: strawberry.Schema, document: str, variables: dict[str, Any], made: Any) -> bytes:
    result = await schema.execute(document, variable_values=variables, context_value=Rows(*made))
    assert result.errors is None, result.errors
    return orjson.dumps({"data": result.data}, option=orjson.OPT_UTC_Z)


async def _interleaved(operations: Mapping[str, Callable[[], Awaitable[Any]]]) -> dict[str, list[float]]:
    """Milliseconds of CPU an operation, by turns."""
    figures: dict[str, list[float]] = {who: [] for who in operations}
    gc.collect()
    for _ in range(ROUNDS):
        for who, operation in operations.items():
            repeats, begun = 0, time.process_time()
            while time.process_time() - begun < 0.1:
                await operation()
                repeats += 1
            figures[who].append((time.process_time() - begun) * 1000 / repeats)
    return figures
