"""Timelines of pipelines and jobs, as clients with different permissions read them."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server import ledger
from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobState, JobType, Provider, TargetType
from gql_server.ledger import claims, interventions
from gql_server.reads.pagination.pages import Page
from gql_server.reads.pipelines.timeline.queries import timeline_by_job, timeline_by_pipeline
from gql_server.worker import Outcome
from tests import build
from tests.graph.test_queries import fetched, statements
from tests.graphql import PAGING, Client, viewer

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
ADA = {"user_id": "ada", "name": "Ada", "email": "ada@example.org"}
UPLOAD = ledger.NewJob(
    job_type=JobType.CSV_INGEST,
    provider=Provider.DEFAULT,
    ingestion_method=IngestionMethod.CSV,
    target_type=TargetType.DATA_ENTRIES,
    module_type_id=4,
    year=2025,
    created_by=ADA,
)
ENTRIES = "nodes { at kind message actor { kind displayName } job { jobId } }"
PIPELINES = f"""query ($first: Int, $entries: Int, $after: String) {{ pipelines(first: $first) {{ nodes {{
  timeline(first: $entries, after: $after) {{ truncatedTo pageInfo {{ hasNextPage endCursor }} {ENTRIES} edges {{ cursor }} }}
}} }} }}"""
JOB = f"query ($id: Int!) {{ job(by: {{ jobId: $id }}) {{ timeline {{ {ENTRIES} }} }} }}"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


async def told(engine: AsyncEngine, *jobs: dict[str, Any]) -> list[tuple[float, str, int | None, str | None]]:
    """Entries of orphans that are chained jobs, on a clock that begins at noon; jobs are numbered from 1."""
    async with engine.begin() as connection:
        ids = [await _store(connection, None, number, **values) for number, values in enumerate(jobs, 1)]
        pages = await timeline_by_job(connection, viewer("operator"), ids, window=PAGING.window("timeline", first=200))
    return [
        ((entry.at - NOON).total_seconds(), entry.kind.value, entry.job_id, entry.message)
        for page in pages.values()
        for entry in page.nodes
    ]


async def _store(connection: AsyncConnection, pipeline_id: UUID | None, number: int, **values: Any) -> int:
    stamps = {"created_at": NOON, "started_at": None, "finished_at": None, "status_message": "Success"}
    ended = {"result": JobResult.SUCCESS} if values.get("finished_at") else {}
    return await build.job(connection, pipeline_id, id=number, **stamps | ended | values)


async def test_entries_of_all_jobs_are_merged_by_time(engine: AsyncEngine):
    meta = {"status_history": [{"message": "half", "ts": at(4).isoformat()}]}
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, created_at=NOON, started_at=at(2))
        await _store(connection, pipeline_id, 1, created_at=at(0), started_at=at(2), finished_at=at(6), meta=meta)
        warned = {"finished_at": at(7), "status_message": "WARNING: 1 skipped"}
        await _store(connection, pipeline_id, 2, created_at=at(1), started_at=at(5), **warned)

    (pipeline,) = (await Client(engine).query(PIPELINES))["pipelines"]["nodes"]

    found = [(entry["kind"], (entry["job"] or {}).get("jobId"), entry["message"]) for entry in pipeline["timeline"]["nodes"]]
    assert found == [
        ("CREATED", None, None),
        ("CREATED", 1, None),
        ("CREATED", 2, None),
        ("CLAIMED", 1, None),
        ("STATUS_CHANGED", None, "RUNNING"),
        ("PROGRESS", 1, "half"),
        ("CLAIMED", 2, None),
        ("FINISHED", 1, "Success"),
        ("FINISHED", 2, "WARNING: 1 skipped"),
    ]


async def test_stages_have_a_begin_and_an_end_and_a_failed_one_says_so(engine: AsyncEngine):
    phases = [
        {"name": "fetch_units", "state": "finished", "started_at": at(1).isoformat(), "finished_at": at(2).isoformat()},
        {"name": "ensure_modules", "state": "failed", "started_at": at(2).isoformat(), "finished_at": at(3).isoformat()},
    ]

    assert (await told(engine, {"meta": {"phases": phases}}))[1:] == [
        (1, "PHASE_STARTED", 1, "fetch_units"),
        (2, "PHASE_FINISHED", 1, "fetch_units"),
        (2, "PHASE_STARTED", 1, "ensure_modules"),
        (3, "PHASE_FINISHED", 1, "ensure_modules failed"),
    ]


async def test_a_kind_of_a_later_version_is_a_note(engine: AsyncEngine):
    history = [{"message": "hello", "ts": at(1).isoformat(), "kind": "GREETED"}]

    assert (await told(engine, {"meta": {"status_history": history}}))[1:] == [(1, "NOTE", 1, "hello")]


WRITTEN = at(1).isoformat()
ODD: list[Any] = [
    None,
    True,
    7,
    "text",
    {},
    {"ts": WRITTEN},
    [],
    [None],
    [7, "x", []],
    [{"ts": None}],
    [{"ts": 7}, {"ts": "now"}],
]
NO_TIMES = ("", "infinity", "2025-13-01T00:00:00Z", "2025-03-01T12:00:00", "0001-01-01T00:00:00+01:00")
ODD.extend([{"ts": text}] for text in NO_TIMES)
ODD.extend([[{"started_at": [], "finished_at": {}, "name": 7, "state": ["failed"]}], [[{"ts": WRITTEN}]]])


async def test_whatever_a_bag_holds_the_stamps_are_told(engine: AsyncEngine):
    stamps = {"created_at": at(0), "started_at": at(1), "finished_at": at(2)}
    bags = [{"status_history": odd, "phases": odd} for odd in ODD]

    found = await told(engine, *({"meta": bag, **stamps} for bag in bags))

    assert [kind for _, kind, _, _ in found] == ["CREATED", "CLAIMED", "FINISHED"] * len(ODD)


async def test_what_a_bag_tells_halfway_is_told_as_far_as_it_goes(engine: AsyncEngine):
    history = [
        {"ts": WRITTEN},
        {"ts": WRITTEN, "message": 7, "kind": 7},
        {"ts": "2025-03-01 12:00:02.5Z", "message": "x" * 600},
    ]
    phases = [{"started_at": WRITTEN}, {"finished_at": WRITTEN, "state": "failed"}]

    assert (await told(engine, {"meta": {"status_history": history, "phases": phases}}))[1:] == [
        (1, "PROGRESS", 1, None),
        (1, "NOTE", 1, None),
        (1, "PHASE_STARTED", 1, None),
        (1, "PHASE_FINISHED", 1, " failed"),
        (2.5, "PROGRESS", 1, "x" * 500),
    ]


async def test_the_pages_of_a_timeline_are_the_timeline_in_either_direction(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, created_at=NOON)
        history = [{"message": str(number), "ts": at(number % 3).isoformat()} for number in range(7)]
        for number in (1, 2, 3):
            meta = {"status_history": history}
            await _store(connection, pipeline_id, number, started_at=at(number % 2), finished_at=at(2), meta=meta)

        async def read(**arguments: Any) -> Page:
            window = PAGING.window("timeline", **arguments)
            return (await timeline_by_pipeline(connection, viewer("operator"), [pipeline_id], window=window))[pipeline_id]

        whole = (await read(first=100)).nodes
        assert len(whole) == 1 + 3 * (3 + 7)
        for size, (edge, beyond, cursor) in product((1, 4, 31), (("first", "after", "end"), ("last", "before", "start"))):
            page = await read(**{edge: size})
            pages = [list(page.nodes)]
            while page.has_next_page if edge == "first" else page.has_previous_page:
                page = await read(**{edge: size, beyond: getattr(page, f"{cursor}_cursor")})
                pages.append(list(page.nodes))
            assert [entry for page in (pages if edge == "first" else pages[::-1]) for entry in page] == list(whole)


async def test_of_a_long_history_no_more_is_read_than_the_page_and_one_entry(engine: AsyncEngine):
    """Thousands of jobs of fifty entries stay in the database."""
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, created_at=NOON)
        await connection.execute(
            text("""INSERT INTO data_ingestion_jobs (pipeline_id, provider, job_type, entity_type, state, year, meta)
                    SELECT :id, 'DEFAULT', 'emission_recalc', 'MODULE_PER_YEAR', 'NOT_STARTED', 2025, :meta
                    FROM generate_series(1, 400)""").bindparams(bindparam("meta", type_=JSONB)),
            {"id": pipeline_id, "meta": {"status_history": [{"message": "m", "ts": at(1).isoformat()}] * 50}},
        )
        window = PAGING.window("timeline", first=10)
        with fetched(engine) as rows:
            page = (await timeline_by_pipeline(connection, viewer("operator"), [pipeline_id], window=window))[pipeline_id]

    assert (len(page.nodes), page.has_next_page) == (10, True)
    assert sum(rows) == 11


async def test_a_job_that_was_lost_and_claimed_again_tells_every_attempt(engine: AsyncEngine):
    async with engine.begin() as connection:
        submitted = await ledger.submit(connection, UPLOAD, [])
    [first] = await _claim(engine, "w1")
    async with engine.begin() as connection:
        await ledger.note(connection, "w1", first, message="Parsing rows")
    await _lose(engine)
    [second] = await _claim(engine, "w2")
    await _lose(engine, by_hand=submitted.job_id)
    [third] = await _claim(engine, "w3")
    async with engine.begin() as connection:
        await ledger.finish(connection, "w3", third, Outcome(message="Success"))

    timeline = (await Client(engine).query(JOB, id=submitted.job_id))["job"]["timeline"]["nodes"]

    assert (first.attempt, second.attempt, third.attempt) == (1, 2, 1)
    assert [(entry["kind"], entry["message"]) for entry in timeline] == [
        ("CREATED", None),
        ("CLAIMED", None),
        ("PROGRESS", "Parsing rows"),
        ("RECOVERED", "Recovered: worker w1 fell silent"),
        ("RETRIED", "Attempt 2 of 3"),
        ("RECOVERED", "Recovered by an operator"),
        ("CLAIMED", "Attempt 1 of 3"),
        ("FINISHED", "Success"),
    ]
    assert timeline[0]["actor"] == {"kind": "USER", "displayName": "Ada"}
    assert {entry["job"]["jobId"] for entry in timeline} == {submitted.job_id}
    assert sorted(entry["at"] for entry in timeline) == [entry["at"] for entry in timeline]


async def test_a_job_that_is_given_up_finishes_once(engine: AsyncEngine):
    async with engine.begin() as connection:
        submitted = await ledger.submit(connection, UPLOAD, [])
    await _claim(engine, "w1")
    async with engine.begin() as connection:
        await build.change(connection, submitted.job_id, attempts=3)
    await _lose(engine)

    timeline = (await Client(engine).query(JOB, id=submitted.job_id))["job"]["timeline"]["nodes"]

    assert [entry["kind"] for entry in timeline] == ["CREATED", "CLAIMED", "FINISHED"]
    assert timeline[-1]["message"] == "Given up by auto-recovery: worker w1 fell silent in attempt 3 of 3"


@pytest.mark.parametrize(("role", "name"), [("operator", "op@example.org"), ("principal", None)])
async def test_an_abort_tells_who_and_why_as_far_as_the_viewer_may_know(engine: AsyncEngine, role: str, name: str | None):
    async with engine.begin() as connection:
        specific = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "A", "created_by": ADA}
        pipeline_id = await build.run(connection, JobState.RUNNING, **specific)
        await interventions.abort(connection, [pipeline_id], "op@example.org", "wrong file")
        await build.settle(connection, pipeline_id)

    answer = await Client(engine, role, unit="A" if role == "principal" else None).execute(PIPELINES)

    (pipeline,) = answer["data"]["pipelines"]["nodes"]
    told = [(entry["kind"], entry["message"], entry["actor"]) for entry in pipeline["timeline"]["nodes"]]
    creator = {"kind": "USER", "displayName": "Ada" if role == "operator" else None}
    assert sorted(told, key=lambda entry: entry[0]) == [
        ("ABORTED", "wrong file", {"kind": "USER", "displayName": name}),
        ("CLAIMED", None, None),
        ("CREATED", None, creator),
        ("CREATED", None, None),
        ("STATUS_CHANGED", "RUNNING", None),
        ("STATUS_CHANGED", "FAILED", None),
    ]
    assert told[-1] == ("STATUS_CHANGED", "FAILED", None)
    denied = [{"coordinate": "Actor.displayName", "permission": "backoffice.users:view", "count": 2}]
    assert answer.get("extensions", {}).get("redactions") == (denied if role == "principal" else None)


@pytest.mark.parametrize("role", ["operator", "principal"])
async def test_the_text_of_an_unexpected_error_is_for_operators(engine: AsyncEngine, role: str):
    error = "null value in column x: Failing row contains (SECRET)"
    history = [
        {"message": "Parsing rows", "ts": at(1).isoformat()},
        {"message": error, "ts": at(2).isoformat()},
        {"message": error, "ts": at(2).isoformat(), "kind": "FINISHED"},
    ]
    async with engine.begin() as connection:
        specific = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
        pipeline_id = await build.pipeline(connection, unit_institutional_id="A", **specific)
        job_id = await build.job(
            connection,
            pipeline_id,
            result=JobResult.ERROR,
            status_message=error,
            meta={"status_history": history, "error": f"NotNullViolation: {error}"},
            **specific,
        )

    timeline = (await Client(engine, role, unit="A").query(JOB, id=job_id))["job"]["timeline"]["nodes"]

    shown = error if role == "operator" else "The job failed unexpectedly."
    expected = [("PROGRESS", "Parsing rows"), ("PROGRESS", shown), ("CREATED", None), ("CLAIMED", None), ("FINISHED", shown)]
    assert sorted((entry["kind"], entry["message"]) for entry in timeline if entry["message"]) == sorted(
        pair for pair in expected if pair[1]
    )


async def test_a_chained_job_is_the_runners(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        root = await build.job(connection, pipeline_id, result=JobResult.SUCCESS)
        chained = await build.job(connection, pipeline_id, job_type=JobType.EMISSION_RECALC, parent_job_id=root)

    timeline = (await Client(engine).query(JOB, id=chained))["job"]["timeline"]["nodes"]

    assert [(entry["kind"], entry["actor"]) for entry in timeline] == [("CREATED", {"kind": "RUNNER", "displayName": None})]


async def test_a_timeline_is_paged_by_cursors_of_its_own(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, *[JobResult.SUCCESS] * 4)
    client = Client(engine)
    (whole,) = (await client.query(PIPELINES))["pipelines"]["nodes"]
    assert whole["timeline"]["truncatedTo"] == 50
    assert whole["timeline"]["pageInfo"]["hasNextPage"] is False

    found: list[Any] = []
    after, page = None, {}
    for _ in range(8):
        (page,) = (await client.query(PIPELINES, entries=2, after=after))["pipelines"]["nodes"]
        found += page["timeline"]["nodes"]
        after = page["timeline"]["pageInfo"]["endCursor"]

    assert page["timeline"]["pageInfo"]["hasNextPage"] is False
    assert found == whole["timeline"]["nodes"]
    jobs = "query ($after: String) { pipelines { nodes { jobs(after: $after) { nodes { id } } } } }"
    assert await client.codes(jobs, after=after) == ["CURSOR_FILTER_MISMATCH"]


async def test_the_timelines_of_a_page_take_a_constant_number_of_statements(engine: AsyncEngine):
    async with engine.begin() as connection:
        for index in range(20):
            await build.run(connection, *[JobResult.SUCCESS] * (index % 5 + 1))
        await build.job(connection, result=JobResult.ERROR)

    counts = set[int]()
    for first in (1, 21):
        with statements(engine) as executed:
            nodes = (await Client(engine).query(PIPELINES, first=first))["pipelines"]["nodes"]
        assert len(nodes) == first
        counts.add(len(executed))

    assert counts == {3}


async def _claim(engine: AsyncEngine, worker: str) -> list[Any]:
    async with engine.begin() as connection:
        return await claims.claim(connection, worker, [JobType.CSV_INGEST], 1)


async def _lose(engine: AsyncEngine, by_hand: int | None = None) -> None:
    """The lease of the running job runs out, and the sweep, or an operator, takes the job back."""
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE data_ingestion_jobs SET locked_at = locked_at - interval '1 hour'"))
        if by_hand is None:
            assert len(await ledger.recover(connection)) == 1
        else:
            assert await interventions.requeue(connection, by_hand)
