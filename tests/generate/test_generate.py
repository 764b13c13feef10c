"""A generated ledger: what the runner would have stored, in the proportions of real ones."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import handlers, ledger
from gql_server.db import migrate
from gql_server.db.models import (
    TERMINAL_STATUSES,
    Event,
    IngestionMethod,
    Job,
    JobState,
    Pipeline,
    RowError,
    TargetType,
    YearConfiguration,
)
from gql_server.errors import Stop
from gql_server.generate.calendar import reporting_years
from gql_server.generate.drafts import JOB_COLUMNS, PIPELINE_COLUMNS
from gql_server.generate.ledger import Ledger, LedgerBatch
from gql_server.generate.load import generate
from gql_server.generate.story import World
from gql_server.ledger import reconcile
from gql_server.ledger.failures.record import record_left_over
from gql_server.ledger.failures.rules import FailureClass
from gql_server.ledger.progress import pipeline_status
from gql_server.worker import registry

assert handlers.__all__
UNTIL = datetime(2026, 11, 20, 12, tzinfo=UTC)
UNITS = [str(10_000 + n) for n in range(2_231)]


def world(seed: int) -> World:
    """A world whose report modules are numbered, without a database."""
    modules = {(module, year): [*range(1, 2_232)] for module in range(1, 9) for year in reporting_years(UNTIL)}
    authors = ['{"user_id": "user-1"}', '{"user_id": "user-2"}']
    return World(Random(seed), registry, "ACCRED", UNITS, modules, authors, ["worker-1", "worker-2"], UNTIL)


def batch(seed: int, pipelines: int) -> LedgerBatch:
    [whole] = Ledger(world(seed), pipelines, 1).batches(size=10**9)
    return whole


@pytest.fixture(scope="module")
def large() -> dict[str, list[dict[str, Any]]]:
    """Five thousand pipelines, by table."""
    made = batch(7, 5_000)
    return {
        "pipelines": [dict(zip(PIPELINE_COLUMNS, record, strict=True)) for record in made.pipelines],
        "jobs": [dict(zip(JOB_COLUMNS, record, strict=True)) for record in made.jobs],
    }


def share(count: int, rows: list[Any]) -> float:
    return count / len(rows)


def test_the_same_seed_makes_the_same_ledger_and_another_one_does_not() -> None:
    assert batch(3, 200) == batch(3, 200)
    assert batch(3, 200) != batch(4, 200)


def test_batches_split_a_ledger_without_changing_it() -> None:
    parts = [*Ledger(world(3), 200, 1).batches(size=100)]

    assert len(parts) > 5
    assert [job for part in parts for job in part.jobs] == batch(3, 200).jobs


def test_statuses_come_in_their_shares(large: dict[str, list[dict[str, Any]]]) -> None:
    found = Counter(row["status"] for row in large["pipelines"])

    expected = {"SUCCESS": 0.815, "PARTIAL": 0.065, "FAILED": 0.105, "RUNNING": 0.013, "NOT_STARTED": 0.005}
    assert found.keys() == expected.keys()
    for status, wanted in expected.items():
        assert share(found[status], large["pipelines"]) == pytest.approx(wanted, abs=0.02)


def test_a_pipeline_has_five_jobs_on_average_and_never_an_unusual_number(large: dict[str, list[dict[str, Any]]]) -> None:
    counts = Counter(row["job_count"] for row in large["pipelines"] if row["status"] == "SUCCESS")

    assert set(counts) == {1, 2, 3, 4, 5, 7, 10}
    assert share(len(large["jobs"]), large["pipelines"]) == pytest.approx(5, abs=0.3)


def test_a_tenth_of_the_list_are_orphans_at_most(large: dict[str, list[dict[str, Any]]]) -> None:
    orphans = sum(job["pipeline_id"] is None for job in large["jobs"])

    assert 0.05 < orphans / (orphans + len(large["pipelines"])) < 0.1


def test_most_work_is_about_the_newest_year_and_was_done_in_it_or_the_next(large: dict[str, list[dict[str, Any]]]) -> None:
    years = Counter(row["year"] for row in large["pipelines"])

    assert set(years) == {2022, 2023, 2024, 2025, 2026}
    assert share(years[2026], large["pipelines"]) == pytest.approx(0.7, abs=0.05)
    assert all(row["created_at"].year in (row["year"], row["year"] + 1) for row in large["pipelines"])
    assert all(row["finished_at"] is None or row["finished_at"] < UNTIL for row in large["pipelines"])


def test_attempts_come_in_their_shares(large: dict[str, list[dict[str, Any]]]) -> None:
    claimed = [job["attempts"] for job in large["jobs"] if job["attempts"]]

    assert share(claimed.count(1), claimed) == pytest.approx(0.97, abs=0.01)
    assert share(claimed.count(2), claimed) == pytest.approx(0.02, abs=0.01)


def test_one_message_in_a_hundred_is_kilobytes_long(large: dict[str, list[dict[str, Any]]]) -> None:
    lengths = [len(job["status_message"] or "") for job in large["jobs"]]

    assert 0.005 < share(sum(length > 2_000 for length in lengths), lengths) < 0.02
    assert max(lengths) < 10_000


def test_every_failure_has_its_class_and_cause(large: dict[str, list[dict[str, Any]]]) -> None:
    failed = [job for job in large["jobs"] if job["result"] in ("ERROR", "WARNING")]

    assert all(job["failure_class"] and job["failure_fingerprint"] for job in failed)
    assert {job["failure_class"] for job in failed} == {each.value for each in FailureClass}
    assert len({job["failure_fingerprint"] for job in failed}) < 150


def test_text_holds_everything_that_text_can_hold(large: dict[str, list[dict[str, Any]]]) -> None:
    messages = "".join(job["status_message"] or "" for job in large["jobs"])

    assert {"é", "'", '"', "%", "_", "\n", "🤷"} <= set(messages)


def test_ids_are_in_order_of_time_and_siblings_are_not_next_to_each_other(large: dict[str, list[dict[str, Any]]]) -> None:
    created = [row["created_at"] for row in large["pipelines"]]
    ids = [job["id"] for job in large["jobs"]]
    siblings = defaultdict(list)
    for job in large["jobs"]:
        siblings[job["pipeline_id"]].append(job["id"])

    assert created == sorted(created)
    assert [row["id"] for row in large["pipelines"]] == sorted(row["id"] for row in large["pipelines"])
    assert ids == [*range(1, len(ids) + 1)]
    assert any(max(of_one) - min(of_one) >= len(of_one) for of_one in siblings.values())


def test_a_parent_comes_before_its_children(large: dict[str, list[dict[str, Any]]]) -> None:
    by_id = {job["id"]: job for job in large["jobs"]}
    children = [job for job in large["jobs"] if job["parent_job_id"] is not None]

    assert children
    assert all(by_id[job["parent_job_id"]]["pipeline_id"] == job["pipeline_id"] for job in children)
    assert all(job["parent_job_id"] < job["id"] for job in children)


async def test_the_stored_status_is_the_one_the_runner_would_store(engine: AsyncEngine) -> None:
    await generate(engine, pipelines=300, seed=1, provider="ACCRED", until=UNTIL)

    async with engine.begin() as connection:
        pipelines = (await connection.execute(select(Pipeline.__table__))).all()
        jobs = defaultdict(list)
        for job in await connection.execute(select(Job.__table__).where(Job.pipeline_id.is_not(None)).order_by(Job.id)):
            jobs[job.pipeline_id].append(job)
        drifted = await reconcile.correct(connection, [row.id for row in pipelines])

    assert await record_left_over(engine) == 0
    assert len(pipelines) == 300
    assert drifted == []
    assert all(pipeline_status(jobs[row.id], owes_aggregation=row.owes_aggregation) == row.status for row in pipelines)
    ended = [job for row in pipelines if row.status in TERMINAL_STATUSES for job in jobs[row.id]]
    assert {job.state for job in ended} == {JobState.FINISHED}


async def test_the_database_is_as_migrated_and_takes_new_work_afterwards(engine: AsyncEngine) -> None:
    made = await generate(engine, pipelines=50, seed=1, provider="ACCRED", until=UNTIL)

    async with engine.begin() as connection:
        assert await connection.run_sync(migrate.differences) == []
        assert await connection.scalar(text("SELECT count(*) FROM pg_constraint WHERE NOT convalidated")) == 0
        assert list(await connection.scalars(select(Event.pipeline_key))) == [UUID(int=0)]  # that a feed begins with
        highest = await connection.scalar(select(func.max(Job.id)))
        assert highest
        new = ledger.NewJob(
            job_type="csv_ingest",
            provider="ACCRED",
            ingestion_method=IngestionMethod.CSV,
            target_type=TargetType.DATA_ENTRIES,
            year=2026,
        )
        submitted = await ledger.submit(connection, new, [])
    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(Job)) == made + 1
        assert submitted.job_id == highest + 1
        assert await connection.scalar(select(func.count()).select_from(Event)) == 3


async def test_the_units_and_years_it_refers_to_exist(engine: AsyncEngine) -> None:
    await generate(engine, pipelines=200, seed=2, provider="TEST", until=UNTIL)

    unknown = text("""
    SELECT count(*) FILTER (WHERE u.id IS NULL), count(*) FROM pipelines p
    LEFT JOIN units u ON u.provider = p.provider AND u.institutional_id = p.unit_institutional_id
    WHERE p.unit_institutional_id IS NOT NULL""")
    async with engine.connect() as connection:
        missing, referring = (await connection.execute(unknown)).one()
        years = (await connection.scalars(select(YearConfiguration.year).order_by(YearConfiguration.year))).all()
        providers = (await connection.scalars(select(Job.provider).distinct())).all()
        row_errors = await connection.scalar(select(func.count()).select_from(RowError))
    assert (missing, referring > 0) == (0, True)
    assert years == [2022, 2023, 2024, 2025, 2026]
    assert providers == ["TEST"]
    assert row_errors


async def test_one_job_of_a_combination_is_current(engine: AsyncEngine) -> None:
    await generate(engine, pipelines=300, seed=1, provider="ACCRED", until=UNTIL)

    newest = text("""
    SELECT count(*) FROM data_ingestion_jobs c JOIN data_ingestion_jobs o
      ON (o.target_type, o.ingestion_method) = (c.target_type, c.ingestion_method)
      AND o.module_type_id IS NOT DISTINCT FROM c.module_type_id AND o.year IS NOT DISTINCT FROM c.year
      AND o.data_entry_type_id IS NOT DISTINCT FROM c.data_entry_type_id AND o.entity_type <> 'MODULE_UNIT_SPECIFIC'
    WHERE c.is_current AND o.started_at > c.started_at AND o.job_type IS NOT NULL""")
    async with engine.connect() as connection:
        assert (await connection.scalar(select(func.count()).where(Job.is_current)) or 0) > 50
        assert await connection.scalar(newest) == 0


async def test_a_database_with_pipelines_is_refused_unless_they_are_to_be_added_to(engine: AsyncEngine) -> None:
    first = await generate(engine, pipelines=30, seed=1, provider="ACCRED", until=UNTIL)

    with pytest.raises(Stop, match="has pipelines already"):
        await generate(engine, pipelines=30, seed=2, provider="ACCRED", until=UNTIL)
    second = await generate(engine, pipelines=30, seed=2, provider="ACCRED", until=UNTIL, append=True)

    async with engine.connect() as connection:
        assert await connection.scalar(select(func.count()).select_from(Pipeline)) == 60
        assert await connection.scalar(select(func.count()).select_from(Job)) == first + second
