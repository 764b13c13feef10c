"""What happened to a pipeline and its jobs, as clients with different permissions read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobState, JobType, Provider, TargetType
from gql_server.ledger import claims, interventions
from gql_server.ledger import verbs as ledger
from gql_server.reads.pipelines.timeline.entries import cut, timeline
from gql_server.worker import Outcome
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import PAGING, Client

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


@dataclass(frozen=True)
class Fact:
    job_id: int
    created_at: datetime = NOON
    started_at: datetime | None = None
    finished_at: datetime | None = None
    is_chained: bool = True
    message: str | None = "Success"
    is_aborted: bool = False
    aborted_by: str | None = None
    abort_reason: str | None = None
    history: Any = None
    phases_raw: Any = None
    actor_kind: str = "UNKNOWN"
    actor_name: str | None = None
    actor_email: str | None = None


def told(*jobs: Fact) -> list[tuple[float, str, int | None, str | None]]:
    return [((e.at - NOON).total_seconds(), e.kind.value, e.job_id, e.message) for e in timeline(None, jobs)]


def test_entries_of_all_jobs_are_merged_by_time():
    first = Fact(1, at(0), at(2), at(6), history=[{"message": "half", "ts": at(4).isoformat()}])
    second = Fact(2, at(1), at(5), at(7), message="WARNING: 1 skipped")

    assert told(second, first) == [
        (0, "CREATED", 1, None),
        (1, "CREATED", 2, None),
        (2, "CLAIMED", 1, None),
        (4, "PROGRESS", 1, "half"),
        (5, "CLAIMED", 2, None),
        (6, "FINISHED", 1, "Success"),
        (7, "FINISHED", 2, "WARNING: 1 skipped"),
    ]


def test_stages_have_a_begin_and_an_end_and_a_failed_one_says_so():
    phases = [
        {"name": "fetch_units", "state": "finished", "started_at": at(1).isoformat(), "finished_at": at(2).isoformat()},
        {"name": "ensure_modules", "state": "failed", "started_at": at(2).isoformat(), "finished_at": at(3).isoformat()},
    ]

    assert told(Fact(1, phases_raw=phases))[1:] == [
        (1, "PHASE_STARTED", 1, "fetch_units"),
        (2, "PHASE_FINISHED", 1, "fetch_units"),
        (2, "PHASE_STARTED", 1, "ensure_modules"),
        (3, "PHASE_FINISHED", 1, "ensure_modules failed"),
    ]


def test_a_kind_of_a_later_version_is_a_note():
    history = [{"message": "hello", "ts": at(1).isoformat(), "kind": "GREETED"}]

    assert told(Fact(1, history=history))[1:] == [(1, "NOTE", 1, "hello")]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(NOON.isoformat()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["ts", "message", "kind", "name", "state", "started_at"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(json, json)
def test_whatever_a_bag_holds_the_stamps_are_told(history: Any, phases: Any):
    kinds = [kind for _, kind, _, _ in told(Fact(1, at(0), at(1), at(2), history=history, phases_raw=phases))]

    assert [kind for kind in kinds if kind in ("CREATED", "CLAIMED", "FINISHED")] == ["CREATED", "CLAIMED", "FINISHED"]


moments = st.none() | st.integers(0, 5).map(at)
facts = st.builds(Fact, st.integers(1, 99), moments.map(lambda moment: moment or NOON), moments, moments)


@given(st.lists(facts, max_size=6, unique_by=lambda fact: fact.job_id), st.integers(1, 7))
def test_the_pages_of_a_timeline_are_the_timeline_in_either_direction(jobs: Sequence[Fact], size: int):
    whole = timeline(None, jobs)

    for edge, beyond, cursor in (("first", "after", "end_cursor"), ("last", "before", "start_cursor")):
        page = cut(whole, PAGING.window("timeline", **{edge: size}))
        pages = [list(page.nodes)]
        while page.has_next_page if edge == "first" else page.has_previous_page:
            page = cut(whole, PAGING.window("timeline", **{edge: size, beyond: getattr(page, cursor)}))
            pages.append(list(page.nodes))
        assert [entry for page in (pages if edge == "first" else pages[::-1]) for entry in page] == whole


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
        await interventions.abort(connection, pipeline_id, "op@example.org", "wrong file")
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
    after = None
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

    assert counts == {4}


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
