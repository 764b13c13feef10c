"""Builders of ledger rows, with honest defaults: what is left out is as the runner would write it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.carbon.catalog import PURCHASE
from gql_server.db import models
from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobState, JobType, Provider, TargetType
from gql_server.db.models.carbon import ReferenceData
from gql_server.ledger.progress import is_error, pipeline_status

_RECALCS = (JobType.EMISSION_RECALC, JobType.MODULE_EMISSION_RECALC)


async def pipeline(connection: AsyncConnection, **values: Any) -> UUID:
    """A pipeline without jobs; give it some with `job`, then `settle` stores what follows from them."""
    defaults: dict[str, Any] = {
        "provider": Provider.DEFAULT,
        "kind": JobType.CSV_INGEST,
        "entity_type": EntityType.MODULE_PER_YEAR,
        "ingestion_method": IngestionMethod.CSV,
        "module_type_id": 4,
        "year": 2025,
    }
    statement = insert(models.Pipeline).values(defaults | values).returning(models.Pipeline.id)
    return (await connection.execute(statement)).scalar_one()


async def job(connection: AsyncConnection, pipeline_id: UUID | None = None, /, **values: Any) -> int:
    """A job, in that pipeline or an orphan. `result` alone makes it finished."""
    kind = values.get("job_type", JobType.CSV_INGEST)
    computed = kind in (*_RECALCS, JobType.AGGREGATION)
    defaults: dict[str, Any] = {
        "pipeline_id": pipeline_id,
        "job_type": kind,
        "entity_type": EntityType.MODULE_PER_YEAR,
        "ingestion_method": IngestionMethod.COMPUTED if computed else IngestionMethod.CSV,
        "target_type": TargetType.DATA_ENTRIES,
        "module_type_id": 4,
        "year": 2025,
        "state": JobState.FINISHED if "result" in values else JobState.NOT_STARTED,
        "status_message": "Job created",
    }
    row = defaults | values
    if row["state"] in (JobState.RUNNING, JobState.FINISHED):
        row = {"started_at": datetime.now(UTC), "attempts": 1} | row
    if row["state"] == JobState.FINISHED:
        row = {"finished_at": datetime.now(UTC)} | row
    return (await connection.execute(insert(models.Job).values(row).returning(models.Job.id))).scalar_one()


async def settle(connection: AsyncConnection, pipeline_id: UUID, *, owes_aggregation: bool = False) -> None:
    """Store the status and the counts that follow from the jobs."""
    jobs = models.Job
    rows: Sequence[Any] = (
        await connection.execute(select(jobs.__table__).where(jobs.pipeline_id == pipeline_id).order_by(jobs.id))
    ).all()
    status = pipeline_status(rows, owes_aggregation=owes_aggregation)
    errors = [row for row in rows if is_error(row)]
    finished_at = max((row.finished_at for row in rows if row.finished_at), default=None)
    values = {
        "status": status,
        "owes_aggregation": owes_aggregation,
        "job_count": len(rows),
        "error_count": len(errors),
        "has_warning": any(row.result == JobResult.WARNING for row in rows),
        "last_error": errors[0].status_message if errors else None,
        "expected_recalc": sum(row.job_type == JobType.EMISSION_RECALC for row in rows),
        "started_at": min((row.started_at for row in rows if row.started_at), default=None),
        "finished_at": finished_at if status in models.TERMINAL_STATUSES else None,
    }
    await connection.execute(update(models.Pipeline).where(models.Pipeline.id == pipeline_id).values(values))


async def run(connection: AsyncConnection, *results: JobResult | JobState, **values: Any) -> UUID:
    """A settled pipeline: an ingest, recalculations and an aggregation, one for each result (or state) given."""
    pipeline_id = await pipeline(connection, **values)
    shared = {name: values[name] for name in ("provider", "entity_type", "module_type_id", "year") if name in values}
    kinds = [values.get("kind", JobType.CSV_INGEST), *[JobType.EMISSION_RECALC] * (len(results) - 2), JobType.AGGREGATION]
    for index, (kind, outcome) in enumerate(zip(kinds, results, strict=False)):
        ended = {"state": outcome} if isinstance(outcome, JobState) else {"result": outcome}
        entry_type = {"data_entry_type_id": 10 + index} if kind == JobType.EMISSION_RECALC else {}
        await job(connection, pipeline_id, job_type=kind, **ended, **entry_type, **shared)
    await settle(connection, pipeline_id)
    return pipeline_id


async def finish(connection: AsyncConnection, job_id: int, result: JobResult = JobResult.SUCCESS, **values: Any) -> None:
    """Write the end of a job, as a worker's last write does."""
    ended = {"state": JobState.FINISHED, "result": result, "finished_at": datetime.now(UTC)}
    await change(connection, job_id, **(ended | values))


async def change(connection: AsyncConnection, job_id: int, **values: Any) -> None:
    """Set columns of a job."""
    await connection.execute(update(models.Job).where(models.Job.id == job_id).values(values))


async def year(connection: AsyncConnection, number: int, **values: Any) -> None:
    """A year that is provisioned, and open to users if `is_started`."""
    defaults: dict[str, Any] = {"provider": Provider.DEFAULT, "configuration_completed": datetime.now(UTC), "config": {}}
    await connection.execute(insert(models.YearConfiguration).values({"year": number, **defaults, **values}))


async def rates(connection: AsyncConnection, year: int) -> None:
    """Store the exchange rates of that year."""
    values = {"provider": Provider.DEFAULT, "year": year, "module_type_id": PURCHASE, "key": "chf"}
    await connection.execute(insert(ReferenceData).values(values | {"data": {"per_eur": 0.9, "source": "Treasury"}}))


async def unit(connection: AsyncConnection, institutional_id: str, **values: Any) -> None:
    """A unit at the root of the directory."""
    statement = text(
        "INSERT INTO units (provider, institutional_code, institutional_id, name, level, path) "
        "VALUES (CAST(:provider AS user_provider_enum), :id, :id, :id, 1, :id)"
    )
    await connection.execute(statement, {"id": institutional_id, "provider": Provider.DEFAULT.value, **values})


async def reports(connection: AsyncConnection, *modules: int) -> None:
    """Reports of 2025 of one unit, with these modules."""
    await unit(connection, "10208")
    await connection.execute(text("INSERT INTO carbon_projects (unit_id) SELECT id FROM units"))
    await connection.execute(
        text("INSERT INTO carbon_reports (carbon_project_id, unit_id, year) SELECT id, unit_id, 2025 FROM carbon_projects")
    )
    await connection.execute(
        text("""INSERT INTO carbon_report_modules (module_type_id, carbon_report_id)
                SELECT module, id FROM carbon_reports, unnest(CAST(:modules AS int[])) AS module"""),
        {"modules": list(modules)},
    )


async def worker(connection: AsyncConnection, pod_id: str, **values: Any) -> None:
    """A live worker that beats every 30 seconds; `silent` is how long ago it did so last."""
    silent = values.pop("silent", timedelta(0))
    defaults = {"heartbeat_interval": timedelta(seconds=30), "lease": timedelta(seconds=60), "git_sha": "abc123"}
    beat = {"last_heartbeat_at": models.NOW - silent}
    await connection.execute(insert(models.Pod).values({"pod_id": pod_id, **defaults, **beat, **values}))


async def notify(connection: AsyncConnection) -> None:
    """Wake the readers of the feed, as writers do."""
    await connection.execute(text("NOTIFY gql_events"))


@asynccontextmanager
async def unreadable(engine: AsyncEngine, table: str) -> AsyncGenerator[None]:
    """Meanwhile whoever reads that table fails after a moment, as if the database were away."""
    impatient = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = 50', current_database()); END $$"
    async with engine.begin() as connection:
        await connection.execute(text(impatient))
    await engine.dispose()
    async with engine.begin() as connection:
        await connection.execute(text(f"LOCK TABLE {table}"))
        yield
