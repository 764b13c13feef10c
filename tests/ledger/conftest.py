"""A ledger with a registry of small job types, and a worker that drains it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import ledger
from gql_server.db import models
from gql_server.db.models import IngestionMethod, TargetType
from gql_server.ledger import NewJob, Submitted, claims, locks
from gql_server.worker import ChildJob, ClaimedJob, Outcome, Registry
from gql_server.worker.attempt import Runner
from gql_server.worker.worker import Worker, WorkerConfig

Behaviour = Callable[[ClaimedJob], Awaitable[Outcome]]


@dataclass
class Ledger:
    """The ledger of one test. `behaviours` replace what a job type does, by default nothing."""

    dsn: str
    engine: AsyncEngine
    registry: Registry = field(default_factory=Registry)
    behaviours: dict[str, Any] = field(default_factory=dict)
    ran: list[tuple[str, int]] = field(default_factory=list)

    def register(self, name: str, locks_of: Any = locks.no_locks, outcome: Outcome | None = None) -> None:
        @self.registry.job_type(name, locks=locks_of)
        async def handler(job: ClaimedJob, connection: Any, run: Any) -> Outcome:
            self.ran.append((name, job.id))
            if behaviour := self.behaviours.get(name):
                return await behaviour(job, connection, run)
            return outcome or Outcome()

    async def submit(self, job_type: str = "csv_ingest", **values: Any) -> Submitted:
        defaults: dict[str, Any] = {
            "provider": "ACCRED",
            "ingestion_method": IngestionMethod.CSV,
            "target_type": TargetType.DATA_ENTRIES,
            "module_type_id": 4,
            "year": 2025,
        }
        new = NewJob(job_type=job_type, **{**defaults, **values})
        async with self.engine.begin() as connection:
            return await ledger.submit(connection, new, self.registry[job_type].locks(new))

    async def claim(self, worker: str = "w1", most: int = 1) -> list[ClaimedJob]:
        async with self.engine.begin() as connection:
            return await claims.claim(connection, worker, self.registry.names, most)

    async def run(self, job: ClaimedJob, worker: str = "w1") -> None:
        await Runner(self.engine, self.registry, worker, {}).run(job)

    async def drain(self, worker: str = "w1") -> None:
        """Run jobs one after the other until none is due."""
        while claimed := await self.claim(worker):
            await self.run(claimed[0], worker)

    async def job(self, job_id: int) -> Row[Any]:
        return (await self.jobs(models.Job.id == job_id))[0]

    async def jobs(self, *where: Any) -> list[Any]:
        async with self.engine.connect() as connection:
            rows = await connection.execute(select(*models.Job.__table__.c).where(*where).order_by(models.Job.id))
            return list(rows.all())

    async def pipeline(self, pipeline_id: Any) -> Row[Any]:
        async with self.engine.connect() as connection:
            rows = await connection.execute(select(*models.Pipeline.__table__.c).where(models.Pipeline.id == pipeline_id))
            return rows.one()

    async def execute(self, statement: str, **parameters: Any) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement), parameters)

    def worker(self, name: str = "w1", **config: Any) -> Worker:
        quick: dict[str, Any] = {"lease": timedelta(seconds=2), "grace": timedelta(seconds=1)}
        return Worker(self.dsn, self.engine, self.registry, WorkerConfig(name=name, **{**quick, **config}))


async def blocked(work: Ledger) -> None:
    """Wait until some transaction of this database waits for another."""
    waits = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    async with asyncio.timeout(10):
        while True:
            async with work.engine.connect() as connection:
                if await connection.scalar(waits):
                    return
            await asyncio.sleep(0.01)


RECALCULATIONS = tuple(ChildJob(job_type="emission_recalc", data_entry_type_id=entry_type) for entry_type in (10, 11, 12))


@pytest.fixture
def work(dsn: str, engine: AsyncEngine) -> Ledger:
    """csv_ingest fans out three recalculations, as equipment does; each affects the module of its entry type's number."""
    work = Ledger(dsn, engine)
    work.register("csv_ingest", locks.module_of_year, Outcome(affected_module_ids=[1], children=RECALCULATIONS))
    work.register("emission_recalc", locks.module_of_year, Outcome(affected_module_ids=[2]))
    work.register("aggregation", locks.reports_of_year)
    work.register("unit_sync", locks.units_and_reports_of_year)
    work.register("noop")
    return work
