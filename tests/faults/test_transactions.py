"""Transactions that deadlock, once or for ever, and transactions that are poisoned."""

from tests.faults.site import Site

CROSSING = "UPDATE crossing SET times = times + 1 WHERE name = '{}'"
MEET = "SELECT pg_sleep(0.3)"


async def test_siblings_that_deadlock_are_retried_and_applied_once(site: Site) -> None:
    await site.execute("CREATE TABLE crossing AS SELECT name, 0 AS times FROM unnest(ARRAY['a', 'b']) AS name")
    worker = await site.worker("w1")

    accepted = [
        (await site.submit(sql=[CROSSING.format(first), MEET, CROSSING.format(second)])).job_id
        for first, second in (("a", "b"), ("b", "a"))
    ]
    seconds = await site.all_finished()

    assert "job.retried" in worker.said
    assert [(await site.job(job_id)).attempts for job_id in accepted] == [1, 1]
    assert [row.times for row in await site.query("SELECT times FROM crossing")] == [2, 2]
    await site.survived("two siblings deadlock", seconds, accepted)


async def test_a_deadlock_that_never_ends_is_an_error_after_three_tries(site: Site) -> None:
    await site.execute("CREATE SEQUENCE tries")
    deadlock = "DO $$ BEGIN PERFORM nextval('tries'); RAISE SQLSTATE '40P01' USING MESSAGE = 'deadlock detected'; END $$"
    await site.worker("w1")

    accepted = [(await site.submit(sql=[deadlock])).job_id, (await site.submit()).job_id]
    seconds = await site.all_finished()

    rows = [await site.job(job_id) for job_id in accepted]
    assert [row.result for row in rows] == ["ERROR", "SUCCESS"]
    assert rows[0].status_message.endswith("deadlock detected")
    assert await site.value("SELECT last_value FROM tries") == 3
    await site.survived("a deadlock that never ends", seconds, accepted)


async def test_w7_a_poisoned_transaction_ends_with_its_own_error(site: Site) -> None:
    await site.worker("w1")

    accepted = [(await site.submit(sql=["SELECT 1 / 0"])).job_id, (await site.submit()).job_id]
    raised = await site.submit(error="the handler gave up")
    seconds = await site.all_finished()

    assert (await site.job(accepted[0])).status_message.endswith("division by zero")
    assert (await site.job(raised.job_id)).status_message == "the handler gave up"
    assert (await site.job(accepted[1])).result == "SUCCESS"
    await site.survived("a poisoned transaction", seconds, [*accepted, raised.job_id])


async def test_w7_the_status_of_a_pipeline_is_healed_when_its_write_failed(site: Site) -> None:
    await site.execute(
        """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the status cannot be written'; END $$;"""
    )
    await site.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON pipelines FOR EACH ROW WHEN (NEW.status = 'SUCCESS') EXECUTE FUNCTION refuse()"
    )
    await site.worker("w1", GQL_SWEEP_INTERVAL="1")
    submitted = await site.submit()
    await site.until("SELECT state = 'FINISHED' FROM data_ingestion_jobs WHERE id = :id", id=submitted.job_id)
    assert await site.status(submitted.pipeline_id) == "RUNNING"

    await site.execute("DROP TRIGGER refuse ON pipelines")
    seconds = await site.all_finished()

    assert await site.status(submitted.pipeline_id) == "SUCCESS"
    await site.survived("the status write of a finished job fails", seconds, [submitted.job_id])
