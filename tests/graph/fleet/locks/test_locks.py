"""The map of locks, over a ledger whose jobs really exclude each other."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import Provider
from gql_server.ledger.locks import Covered, Lock, module_of_year, reports_of_year
from gql_server.reads.fleet.lock_graph import HeldLock, LockObservation, lock_graph
from gql_server.worker import ClaimedJob, Outcome
from tests.graph.test_queries import statements
from tests.graphql import Client
from tests.ledger.conftest import Ledger, work

__all__ = ["work"]
LOCKS = "{ locks { category scope holder { jobId } waiters { jobId } heldForSeconds } }"


async def locks(engine: AsyncEngine, provider: str = "ACCRED") -> list[dict[str, Any]]:
    return (await Client(engine, "operator", provider=provider).query(LOCKS))["locks"]


async def test_who_waits_for_whom(engine: AsyncEngine, work: Ledger):
    first, second, third = [await work.submit() for _ in range(3)]
    await work.submit("noop")
    later = await work.submit()
    await work.execute("UPDATE data_ingestion_jobs SET run_after = now() + interval '1 day' WHERE id = :id", id=later.job_id)
    assert await locks(engine) == []
    await work.claim()
    await work.execute("UPDATE data_ingestion_jobs SET started_at = now() - interval '1 hour' WHERE state = 'RUNNING'")

    with statements(engine) as executed:
        [lock] = await locks(engine)

    assert (lock["category"], lock["scope"]) == ("Data of a module in a year", "equipment_electric_consumption 2025")
    assert lock["holder"] == {"jobId": first.job_id}
    assert lock["waiters"] == [{"jobId": second.job_id}, {"jobId": third.job_id}]
    assert 3600 <= lock["heldForSeconds"] < 3700
    assert len(executed) <= 3  # Python 3.13 begins tasks in another order, in which holders and waiters are read together


async def test_the_lock_of_another_tenants_job_is_held_by_nobody_you_see(engine: AsyncEngine, work: Ledger):
    foreign = await work.submit("unit_sync", provider="TEST", module_type_id=None)
    [claimed] = await work.claim()
    assert claimed.id == foreign.job_id
    assert await locks(engine) == []
    waits = await work.submit("unit_sync", module_type_id=None)

    [lock] = await locks(engine)
    theirs = await locks(engine, "TEST")

    assert lock == {
        "category": "Units and people",
        "scope": "everything",
        "holder": None,
        "waiters": [{"jobId": waits.job_id}],
        "heldForSeconds": None,
    }
    assert [(lock["category"], lock["scope"], lock["holder"], lock["waiters"]) for lock in theirs] == [
        ("Totals of a year", "2025", {"jobId": foreign.job_id}, []),
        ("Units and people", "everything", {"jobId": foreign.job_id}, []),
    ]


async def test_what_a_transaction_has_taken_in_the_database_is_held_too(engine: AsyncEngine, work: Ledger):
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(1237, 402025)"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(1239), pg_advisory_xact_lock(77, 1)"))
        [lock] = await locks(engine)
        assert await locks(engine, "TEST") == []

    assert (lock["category"], lock["scope"]) == ("Data of a module in a year", "equipment_electric_consumption 2025")
    assert (lock["holder"], lock["waiters"]) == (None, [])
    assert 0 <= lock["heldForSeconds"] < 60
    assert await locks(engine) == []


async def test_a_running_job_holds_its_lock_since_its_transaction_began(engine: AsyncEngine, work: Ledger):
    started, go = asyncio.Event(), asyncio.Event()

    async def holding(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
        started.set()
        await go.wait()
        return Outcome()

    work.behaviours["csv_ingest"] = holding
    submitted = await work.submit()
    [job] = await work.claim()
    await work.execute("UPDATE data_ingestion_jobs SET started_at = now() - interval '1 hour'")
    running = asyncio.create_task(work.run(job))
    await started.wait()

    [lock] = await locks(engine)
    go.set()
    await running

    assert lock["holder"] == {"jobId": submitted.job_id}
    assert lock["heldForSeconds"] < 60
    assert await locks(engine) == []


@pytest.mark.parametrize(("role", "unit"), [("principal", "A"), ("standard", None)])
async def test_locks_are_for_those_who_may_operate(engine: AsyncEngine, role: str, unit: str | None):
    answer = await Client(engine, role, unit=unit).execute(LOCKS)

    assert answer["data"] == {"locks": None}
    [error] = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["locks"], "FORBIDDEN")
    assert error["extensions"]["permission"] == "backoffice.pipeline_operations:edit"


@pytest.mark.parametrize("provider", Provider)
@pytest.mark.parametrize("module", [1, 8, 99])
def test_what_a_key_covers_is_read_from_it(provider: Provider, module: int):
    class Scope:
        module_type_id = module
        year = 2026

    scope: Any = Scope()
    scope.provider = provider.value

    [of_module], [of_year] = module_of_year(scope), reports_of_year(scope)

    assert of_module.covered == Covered(provider.value, module, 2026)
    assert of_year.covered == Covered(provider.value, None, 2026)
    assert Lock(1239).covered == Covered()


def test_locks_that_are_not_ours_are_shown_by_their_key_to_those_concerned():
    sightings = [LockObservation("5000:7", holder_id=1), LockObservation("nonsense", waiter_id=2), LockObservation("5001:7")]

    found = lock_graph(sightings, "ACCRED")

    assert [(lock.category, lock.scope, lock.holder_id, lock.waiter_ids) for lock in found] == [
        ("Other work", "5000:7", 1, []),
        ("Other work", "nonsense", None, [2]),
    ]


def test_since_when_a_hidden_holder_holds_a_shared_lock_is_not_told():
    lock = HeldLock("1239", "ACCRED")
    for sighting in (LockObservation("1239", is_taken=True, seconds=5.0), LockObservation("1239", waiter_id=1)):
        lock.see(sighting)
    assert lock.held_for_seconds is None

    lock.see(LockObservation("1239", holder_id=2, seconds=9.0))

    assert lock.held_for_seconds == 5.0
