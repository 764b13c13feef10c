"""Pipelines that break in the middle, are aborted, or lose the year they work on."""

import asyncio

from sqlalchemy import text

from gql_server.commands.pipelines import abort_pipeline
from gql_server.commands.years import create_year
from gql_server.db.models import TargetType
from gql_server.ledger import wakeup
from gql_server.worker import registry
from tests.faults.files import EQUIPMENT, equipment_file, example, total, upload
from tests.faults.site import OPERATOR, Site

FAIL = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$;
CREATE CONSTRAINT TRIGGER fail AFTER {event} ON data_ingestion_jobs DEFERRABLE INITIALLY {when} FOR EACH ROW
WHEN ({condition}) EXECUTE FUNCTION fail('{message}')
"""


async def fail(site: Site, event: str, when: str, condition: str, message: str) -> None:
    """From now on the database refuses such a write of the ledger."""
    for statement in FAIL.format(event=event, when=when, condition=condition, message=message).split(";\nCREATE"):
        await site.execute(statement if statement.lstrip().startswith("CREATE") else f"CREATE{statement}")


async def test_c4_the_last_sibling_raises_and_the_aggregation_still_runs(site: Site, year: int) -> None:
    await site.worker("w1")
    factors = await upload(site, year, EQUIPMENT, example("factors/equipment.csv"), target=TargetType.FACTORS)
    await site.all_finished()
    condition = (
        "OLD.state = 'RUNNING' AND NEW.job_type = 'emission_recalc' AND NEW.data_entry_type_id = 12 AND NEW.result = 'SUCCESS'"
    )
    await fail(site, "UPDATE", "IMMEDIATE", condition, "the last sibling raises")

    submitted = await upload(site, year, EQUIPMENT, equipment_file(3))
    seconds = await site.all_finished()

    jobs = await site.query("SELECT * FROM data_ingestion_jobs WHERE pipeline_id = :id ORDER BY id", id=submitted.pipeline_id)
    assert [(job.job_type, job.data_entry_type_id, job.result) for job in jobs] == [
        ("csv_ingest", None, "SUCCESS"),
        ("emission_recalc", 10, "SUCCESS"),
        ("emission_recalc", 11, "SUCCESS"),
        ("emission_recalc", 12, "ERROR"),
        ("aggregation", None, "SUCCESS"),
    ]
    assert jobs[3].status_message.endswith("the last sibling raises")
    assert (await site.status(submitted.pipeline_id), await total(site, EQUIPMENT)) == ("PARTIAL", 3 * 27.456)
    await site.survived("the last sibling raises", seconds, [factors.job_id, submitted.job_id])


async def test_c1_a_parent_that_fails_after_chaining_leaves_no_children(site: Site) -> None:
    await fail(site, "INSERT", "DEFERRED", "NEW.parent_job_id IS NOT NULL", "no room for children")
    await site.worker("w1")

    submitted = await site.submit(children=3)
    seconds = await site.all_finished()

    [row] = await site.query("SELECT * FROM data_ingestion_jobs")
    assert (row.result, row.status_message.endswith("no room for children")) == ("ERROR", True)
    assert await site.status(submitted.pipeline_id) == "FAILED"
    await site.survived("a parent fails after chaining, at its commit", seconds, [submitted.job_id])


async def test_w19_an_abort_while_progress_is_written_is_final(site: Site) -> None:
    worker = await site.worker("w1")
    submitted = await site.submit("talkative", seconds=60)
    await site.until("SELECT status_message = 'working' FROM data_ingestion_jobs")

    async with site.engine.begin() as connection:
        aborted = await abort_pipeline(connection, registry, OPERATOR, submitted.pipeline_id, "enough")
    await worker.says("job.lease_lost")
    after = await site.submit()
    seconds = await site.until("SELECT state = 'FINISHED' FROM data_ingestion_jobs WHERE id = :id", id=after.job_id)

    assert aborted.aborted_job_ids == [submitted.job_id]
    row = await site.job(submitted.job_id)
    assert (row.state, row.result, row.status_message) == ("FINISHED", "ERROR", f"Aborted by {OPERATOR.subject}")
    assert await site.status(submitted.pipeline_id) == "FAILED"
    await site.survived("abort while progress is being written", seconds, [submitted.job_id, after.job_id])


async def test_y10_a_year_deleted_during_its_sync_is_said(site: Site) -> None:
    await site.worker("w1")
    async with site.engine.begin() as holder:
        await holder.execute(text("LOCK TABLE carbon_projects IN EXCLUSIVE MODE"))
        async with site.engine.begin() as connection:
            submitted = await create_year(connection, registry, OPERATOR, 2025)
        await wakeup.wake_all(site.engine)
        await site.until("SELECT status_message LIKE 'Creating the reports%' FROM data_ingestion_jobs")
        await site.execute("DELETE FROM year_configuration")
    seconds = await site.all_finished()

    row = await site.job(submitted.job_id)
    assert (row.result, row.status_message) == ("SUCCESS", "Unit sync completed, but year 2025 no longer exists")
    assert await site.value("SELECT count(*) FROM units") == 2231
    await site.survived("the year is deleted during its sync", seconds, [submitted.job_id])


async def test_c12_two_unit_syncs_at_once_follow_each_other(site: Site) -> None:
    await asyncio.gather(site.worker("w1"), site.worker("w2"))
    accepted: list[int] = []
    for year in (2024, 2025):
        async with site.engine.begin() as connection:
            accepted.append((await create_year(connection, registry, OPERATOR, year)).job_id)
    await wakeup.wake_all(site.engine)

    seconds = await site.all_finished()

    first, second = [await site.job(job_id) for job_id in accepted]
    assert [(row.result, row.attempts) for row in (first, second)] == [("SUCCESS", 1), ("SUCCESS", 1)]
    assert first.finished_at <= await site.value(
        "SELECT max(at) FROM audit WHERE job_id = :id AND became = 'RUNNING'", id=second.id
    )
    assert await site.value("SELECT count(*) FROM units") == 2231
    assert await site.value("SELECT count(*) FROM carbon_reports") == 2 * 2231
    await site.survived("two unit syncs at once", seconds, accepted)
