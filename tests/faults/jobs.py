"""A worker process that also knows `effect`: one row counted for its job, with pauses where a fault is to strike.

Run as `python -m tests.faults.jobs worker`. What an `effect` does is in its config: `pause_at` BEFORE or AFTER its row
is written, for `seconds`, in its first `attempts` (1); `sql`, statements of its transaction after the row; `children`,
how many `effect`s it chains; `error`, what it raises in the end. GQL_TEST_MIGRATIONS names the migrations of a later version.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.cli import main
from gql_server.db import migrate
from gql_server.worker import ChildJob, ClaimedJob, Outcome, Run, job_type

BEFORE, AFTER = "before the effect", "after the effect"
EFFECT = text("INSERT INTO effects (job_id, attempt) VALUES (:job_id, :attempt)")


@job_type("effect")
async def effect(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Count itself, once."""
    await run.phase("effect")
    await pause(job, run, BEFORE)
    await connection.execute(EFFECT, {"job_id": job.id, "attempt": job.attempt})
    for statement in job.config.get("sql", ()):
        await connection.execute(text(statement))
    await pause(job, run, AFTER)
    if error := job.config.get("error"):
        raise RuntimeError(error)
    return Outcome(children=[ChildJob(job_type="effect") for _ in range(job.config.get("children", 0))])


@job_type("talkative")
async def talkative(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Report progress without a pause for so many `seconds`, then count itself."""
    until = time.monotonic() + job.config["seconds"]
    while time.monotonic() < until:
        await run.progress("working")
    await connection.execute(EFFECT, {"job_id": job.id, "attempt": job.attempt})
    return Outcome()


@job_type("hoarder")
async def hoarder(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Keep every connection that the worker's pool would still give, for so many `seconds`."""

    async def hold() -> None:
        async with run.engine.connect() as kept:
            await kept.execute(text("SELECT 1"))
            await asyncio.sleep(job.config["seconds"])

    pool: Any = run.engine.pool
    await asyncio.gather(*(hold() for _ in range(pool.size() + pool._max_overflow - pool.checkedout())))
    await connection.execute(EFFECT, {"job_id": job.id, "attempt": job.attempt})
    return Outcome()


async def pause(job: ClaimedJob, run: Run, point: str) -> None:
    if job.config.get("pause_at") == point and job.attempt <= job.config.get("attempts", 1):
        await run.progress(f"paused {point}")
        await asyncio.sleep(job.config["seconds"])


def run() -> None:
    """The command that the arguments of this process name."""
    if scripts := os.environ.get("GQL_TEST_MIGRATIONS"):
        folder = Path(scripts)
        migrate.scripts_path = lambda: folder
    main()


if __name__ == "__main__":
    run()
