"""The database: crashed, away, full, or done with one of its clients."""

import asyncio
import os
import time

import pytest
from sqlalchemy import text

from tests.faults.jobs import AFTER
from tests.faults.proxy import FaultProxy
from tests.faults.site import AWAY, Site

DOWN_SECONDS = float(os.environ.get("GQL_DATABASE_DOWN_SECONDS", "30"))
BACK_WITHIN = 15
CANCEL = """SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'gql-server %'"""


class Load:
    """Small jobs submitted without pause, and which of them were accepted."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.accepted: list[int] = []
        self._task = asyncio.create_task(self._submit())

    async def _submit(self) -> None:
        while True:
            try:
                self.accepted.append((await self.site.submit(pause_at=AFTER, seconds=0.1)).job_id)
            except AWAY:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def served_again(site: Site) -> float:
    """Seconds until a job that is submitted now has been done."""
    began = time.monotonic()
    while True:
        try:
            submitted = await site.submit()
            break
        except AWAY:
            await asyncio.sleep(0.05)
    await site.until("SELECT state = 'FINISHED' FROM data_ingestion_jobs WHERE id = :id", 40, id=submitted.job_id)
    return time.monotonic() - began


async def test_a_crash_of_the_database_under_load_loses_nothing(site: Site) -> None:
    for name in ("w1", "w2"):
        await site.worker(name, lease=4)
    load = Load(site)
    await site.until("SELECT count(*) > 20 FROM effects")

    await asyncio.to_thread(site.cluster.restart, "immediate")
    seconds = await served_again(site)
    await site.until("SELECT count(*) > 100 FROM effects", 60)
    await load.stop()
    await site.all_finished(40)

    assert seconds < BACK_WITHIN
    await site.survived(f"pg_ctl restart -m immediate under load ({len(load.accepted)} jobs)", seconds, load.accepted)


async def test_a_database_that_is_away_is_waited_for(site: Site) -> None:
    workers = [await site.worker(name, lease=4) for name in ("w1", "w2")]
    async with site.serve() as api:
        load = Load(site)
        await site.until("SELECT count(*) > 20 FROM effects")

        await asyncio.to_thread(site.cluster.stop, "immediate")
        asked = await api.get("/readyz")
        await asyncio.sleep(DOWN_SECONDS)
        assert [worker.popen.poll() for worker in workers] == [None, None]
        await asyncio.to_thread(site.cluster.start)
        seconds = await served_again(site)
        done = await site.value("SELECT count(*) FROM effects")
        await site.until("SELECT count(*) > :done FROM effects", 60, done=done + 50)
        await load.stop()
        await site.all_finished(40)

        assert (asked.status_code, (await api.get("/readyz")).status_code) == (503, 200)
    assert seconds < BACK_WITHIN
    await recovery_works(site)
    await site.survived(f"database down for {DOWN_SECONDS:.0f} s under load", seconds, load.accepted)


async def recovery_works(site: Site) -> None:
    """The workers' chores have survived too: the job of a worker that fell silent is done by another."""
    await site.execute(
        """INSERT INTO data_ingestion_jobs (job_type, entity_type, provider, state, locked_by, locked_at, attempts)
        VALUES ('effect', 'MODULE_PER_YEAR', 'ACCRED', 'RUNNING', 'nobody', clock_timestamp() - interval '1 hour', 1)"""
    )
    await site.until("SELECT count(*) = 0 FROM data_ingestion_jobs WHERE state <> 'FINISHED'")


async def test_a_killed_backend_costs_its_job_one_attempt(site: Site) -> None:
    await site.worker("w1")
    submitted = await site.submit(pause_at=AFTER, seconds=2)
    await site.paused(submitted.job_id, AFTER)

    killed = await site.value(
        """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction'"""
    )
    seconds = await site.claimed_again(submitted.job_id, within=BACK_WITHIN)
    await site.all_finished()

    assert killed == 1
    await site.survived("a job's backend terminated", seconds, [submitted.job_id])


SUICIDE = """CREATE FUNCTION die_once() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF nextval('deaths') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$"""


@pytest.mark.parametrize(
    ("moment", "trigger"),
    [
        ("while the status is stored", "TRIGGER die AFTER UPDATE ON pipelines FOR EACH ROW WHEN (NEW.status = 'SUCCESS')"),
        (
            "inside its COMMIT",
            """CONSTRAINT TRIGGER die AFTER UPDATE ON data_ingestion_jobs DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.result = 'SUCCESS')""",
        ),
    ],
)
async def test_a_backend_that_dies_while_a_job_ends_decides_nothing(site: Site, moment: str, trigger: str) -> None:
    await site.execute("CREATE SEQUENCE deaths")
    await site.execute(SUICIDE)
    await site.execute(f"CREATE {trigger} EXECUTE FUNCTION die_once()")
    await site.worker("w1", lease=3)

    submitted = await site.submit()
    seconds = await site.claimed_again(submitted.job_id, within=BACK_WITHIN)
    await site.all_finished()

    row = await site.job(submitted.job_id)
    assert (row.result, row.attempts) == ("SUCCESS", 2)
    await site.survived(f"a job's backend dies {moment}", seconds, [submitted.job_id])


async def test_statement_and_lock_timeouts_end_their_job_with_the_databases_words(site: Site) -> None:
    await site.worker("w1")
    slow = await site.submit(sql=["SET LOCAL statement_timeout = '300ms'", "SELECT pg_sleep(30)"])
    async with site.engine.begin() as holder:
        await holder.execute(text("LOCK TABLE units"))
        waiting = await site.submit(sql=["SET LOCAL lock_timeout = '300ms'", "SELECT FROM units"])
        await site.all_finished()
    after = await site.submit()
    seconds = await site.all_finished()

    rows = [await site.job(submitted.job_id) for submitted in (slow, waiting, after)]
    assert [(row.result, row.attempts) for row in rows] == [("ERROR", 1), ("ERROR", 1), ("SUCCESS", 1)]
    assert rows[0].status_message.endswith("canceling statement due to statement timeout")
    assert rows[1].status_message.endswith("canceling statement due to lock timeout")
    await site.survived("statement and lock timeouts", seconds, [slow.job_id, waiting.job_id, after.job_id])


async def test_a_worker_whose_pool_is_exhausted_catches_up(site: Site) -> None:
    await site.worker("w1")
    hoarder = await site.submit("hoarder", seconds=5)
    accepted = [hoarder.job_id, *[(await site.submit()).job_id for _ in range(20)]]

    seconds = await site.all_finished(40)

    rows = [await site.job(job_id) for job_id in accepted]
    assert [(row.result, row.attempts) for row in rows] == [("SUCCESS", 1)] * 21
    await site.survived("a worker's pool exhausted for 5 s", seconds, accepted)


async def test_a_database_without_a_free_connection_is_waited_for(site: Site) -> None:
    await site.worker("w1", lease=4)
    submitted = await site.submit(pause_at=AFTER, seconds=2)
    await site.paused(submitted.job_id, AFTER)

    await site.execute(f'ALTER DATABASE "{site.database}" CONNECTION LIMIT 0')
    others = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()"""
    async with site.engine.connect() as connection:
        await connection.execute(text(others))
        await asyncio.sleep(6)
        await connection.execute(text(f'ALTER DATABASE "{site.database}" CONNECTION LIMIT -1'))
        await connection.commit()
    seconds = await served_again(site)
    await site.all_finished()

    assert (await site.job(submitted.job_id)).result == "SUCCESS"
    await site.survived("no connection free in the database for 6 s", seconds, [submitted.job_id])


async def test_connections_that_could_not_begin_are_not_used_again(site: Site) -> None:
    async with FaultProxy(site.cluster.port) as proxy:
        worker = await site.worker("w1", port=proxy.port)
        async with site.serve(port=proxy.port) as api:
            proxy.misquote(b"BEGIN", b"BEGIM")
            submitted = await site.submit()
            refused = [(await api.get("/readyz")).status_code for _ in range(20)]
            await worker.says('syntax error at or near "BEGIM"')
            proxy.misquote(b"BEGIM", b"BEGIM")
            for _ in range(300):
                await site.value(CANCEL)
            seconds = await site.all_finished()

            assert refused == [503] * 20
            assert [(await api.get("/readyz")).status_code for _ in range(20)] == [200] * 20
    await site.survived("BEGIN refused, then all backends cancelled 300 times", seconds, [submitted.job_id])
