"""Claims: what they pass over, also when others claim at the same moment."""

import asyncio
from uuid import UUID

import asyncpg
import pytest
from pgqueuer.domain.types import Channel, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter
from sqlalchemy import text

from bench.plans import recorded
from gql_server.db import direct
from gql_server.db.models import EntityType
from gql_server.ledger import attempts, claims, reconcile
from gql_server.ledger.claims import LOOKAHEAD
from gql_server.worker.queue import LedgerQueue, Listener
from tests.ledger.conftest import Ledger, blocked

MANAGER = QueueManagerId(UUID(int=0))


async def dequeue(work: Ledger, worker: str, *job_types: str) -> list[int]:
    """Jobs that PgQueuer's loop would get, of these job types or of all."""
    async with asyncpg.create_pool(work.dsn, min_size=1, max_size=2) as pool:
        queue = LedgerQueue(Listener(pool), Channel("gql_jobs"), work.engine, worker, 4, drain=False)
        types = {
            QueueEntrypoint(name): EntrypointExecutionParameter(concurrency_limit=0)
            for name in job_types or work.registry.names
        }
        return [int(job.id) for job in await queue.dequeue(4, types, MANAGER, None, work.worker().config.lease)]


async def test_of_two_jobs_of_one_combination_a_batch_takes_the_first(work: Ledger) -> None:
    first = await work.submit("noop", data_entry_type_id=10)
    await work.submit("noop", data_entry_type_id=10)
    other = await work.submit("noop", data_entry_type_id=11)

    assert [job.id for job in await work.claim(most=4)] == [first.job_id, other.job_id]


@pytest.mark.parametrize("values", [{}, {"data_entry_type_id": 10, "entity_type": EntityType.MODULE_UNIT_SPECIFIC}])
async def test_jobs_without_a_full_combination_or_of_one_unit_are_taken_together(
    work: Ledger, values: dict[str, object]
) -> None:
    submitted = [await work.submit("noop", **values) for _ in range(3)]

    assert [job.id for job in await work.claim(most=4)] == [each.job_id for each in submitted]


async def test_a_job_behind_many_that_share_a_lock_is_reached(work: Ledger) -> None:
    first = await work.submit("csv_ingest", module_type_id=4)
    for _ in range(LOOKAHEAD):
        await work.submit("csv_ingest", module_type_id=4)
    behind = await work.submit("csv_ingest", module_type_id=5)

    assert [job.id for job in await work.claim(most=4)] == [first.job_id]
    assert [job.id for job in await work.claim(most=4)] == [behind.job_id]


async def test_of_jobs_that_share_only_one_of_their_locks_a_batch_takes_the_oldest(work: Ledger) -> None:
    first = await work.submit("unit_sync", year=2024)
    await work.submit("unit_sync", year=2025)
    await work.submit("aggregation", year=2024)
    other = await work.submit("aggregation", year=2023)

    assert [job.id for job in await work.claim(most=4)] == [first.job_id, other.job_id]


async def test_a_claim_that_meets_another_of_its_combination_looks_again(work: Ledger) -> None:
    """Two workers that know different job types do not see each other's waiting jobs, but share the current one."""
    work.register("other")
    first = await work.submit("noop", data_entry_type_id=10)
    second = await work.submit("other", data_entry_type_id=10)
    elsewhere = await work.submit("other", data_entry_type_id=11)
    async with work.engine.begin() as connection:
        [claimed] = await claims.claim(connection, "w1", ["noop"], 1)
        late = asyncio.create_task(dequeue(work, "w2", "other"))
        await blocked(work)

    assert (claimed.id, await late) == (first.job_id, [elsewhere.job_id])
    assert (await work.job(second.job_id)).attempts == 0


async def test_a_claim_shows_its_pipelines_as_running_and_waits_for_none(work: Ledger) -> None:
    free, busy, running = [await work.submit("noop") for _ in range(3)]
    await work.execute("UPDATE pipelines SET status = 'RUNNING' WHERE id = :id", id=running.pipeline_id)
    ids = [each.pipeline_id for each in (free, busy, running)]
    before = [(await work.pipeline(id)).updated_at for id in ids]
    async with work.engine.begin() as other:
        await reconcile.lock(other, [busy.pipeline_id])

        async with asyncio.timeout(5), direct(work.engine).connect() as connection:
            claimed, unshown = await claims.claim_and_show(connection, "w1", ["noop"], 3)

    assert [job.id for job in claimed] == [free.job_id, busy.job_id, running.job_id]
    assert unshown == {busy.pipeline_id}
    assert [(await work.pipeline(id)).status for id in ids] == ["RUNNING", "NOT_STARTED", "RUNNING"]
    assert [(await work.pipeline(id)).updated_at > each for id, each in zip(ids, before, strict=True)] == [True, False, False]
    assert (await work.pipeline(free.pipeline_id)).started_at == (await work.job(free.job_id)).started_at


async def test_a_claim_of_several_pipelines_takes_one_statement(work: Ledger) -> None:
    submitted = [await work.submit("noop") for _ in range(3)]
    with recorded(work.engine) as executed:
        assert await dequeue(work, "w1") == [each.job_id for each in submitted]

    assert [each.statement.split()[:2] for each in executed] == [["WITH", "running"]]
    assert {(await work.pipeline(each.pipeline_id)).status for each in submitted} == {"RUNNING"}


async def test_who_holds_nothing_has_no_lease_to_renew(work: Ledger) -> None:
    await work.submit("noop")
    await work.claim()

    with recorded(work.engine) as executed:
        async with work.engine.begin() as connection:
            assert await attempts.beat(connection, "w1", {}) == set()

    assert executed == []


async def test_a_heartbeat_changes_no_index(work: Ledger) -> None:
    updated_in_place = text("SELECT pg_stat_get_xact_tuples_hot_updated('data_ingestion_jobs'::regclass)")
    await work.submit("noop")
    [job] = await work.claim()
    async with work.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM FULL data_ingestion_jobs"))  # so that there is room on the page
    async with work.engine.begin() as connection:
        before = await connection.scalar(updated_in_place)
        assert await attempts.beat(connection, "w1", {job.id: job.attempt}) == {job.id}
        after = await connection.scalar(updated_in_place)

    assert (after or 0) - (before or 0) == 1


async def test_a_pipeline_that_was_busy_when_its_job_was_claimed_is_shown_as_running_after_it(work: Ledger) -> None:
    submitted = await work.submit("noop")
    async with work.engine.begin() as other:
        await reconcile.lock(other, [submitted.pipeline_id])
        claiming = asyncio.create_task(dequeue(work, "w1"))
        await blocked(work)
        assert (await work.job(submitted.job_id)).state == "RUNNING"

    assert await claiming == [submitted.job_id]
    assert (await work.pipeline(submitted.pipeline_id)).status == "RUNNING"


async def test_an_empty_job_takes_one_statement_and_a_wake_up(work: Ledger) -> None:
    firsts: list[str] = []
    for _ in range(2):
        await work.submit("noop")
        [job] = await work.claim()
        with recorded(work.engine) as executed:
            await work.run(job)

        firsts = [" ".join(each.statement.split()[:2]) for each in executed]
    assert firsts == ["WITH finished", "SELECT pg_notify('gql_jobs'::VARCHAR,"]
