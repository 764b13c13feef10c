"""Job types that do nothing, and `python -m bench.empty NAME`, a worker process that runs them.

What is left is the runner's own cost. The pipeline fans out and takes its locks as an equipment file does.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server import logs
from gql_server.db import work_engine
from gql_server.db.models import JobType
from gql_server.ledger import locks
from gql_server.ledger.locks import Lock, Scope
from gql_server.processes import run
from gql_server.worker import ChildJob, ClaimedJob, Outcome, Registry, Run
from gql_server.worker.worker import Worker, WorkerConfig

DATABASE = "GQL_DATABASE_URL"
NOOP = "noop"
CONCURRENCY = 4
RECALCULATIONS = tuple(ChildJob(job_type=JobType.EMISSION_RECALC, data_entry_type_id=entry_type) for entry_type in (10, 11, 12))


def registry(started: Callable[[ClaimedJob], None] | None = None) -> Registry:
    """Empty job types; `started` is called at the start of each handler."""
    types = Registry()

    def register(name: str, locks_of: Callable[[Scope], Sequence[Lock]], outcome: Outcome) -> None:
        @types.job_type(name, locks=locks_of)
        async def handler(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
            if started:
                started(job)
            return outcome

        assert handler

    register(NOOP, locks.no_locks, Outcome())
    register(JobType.CSV_INGEST, locks.module_of_year, Outcome(affected_module_ids=[1], children=RECALCULATIONS))
    register(JobType.EMISSION_RECALC, locks.module_of_year, Outcome(affected_module_ids=[1]))
    register(JobType.AGGREGATION, locks.reports_of_year, Outcome())
    return types


async def work(dsn: str, name: str) -> None:
    """Run empty jobs until SIGTERM."""
    engine = work_engine(dsn, concurrency=CONCURRENCY)
    worker = Worker(dsn, engine, registry(), WorkerConfig(name=name, concurrency=CONCURRENCY))
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    working = asyncio.create_task(worker.run())
    await stopping.wait()
    await worker.stop()
    await working
    await engine.dispose()


if __name__ == "__main__":
    logs.configure("ERROR", json=False)
    run(work(os.environ[DATABASE], sys.argv[1]))
