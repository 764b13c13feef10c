"""Workers that are killed, stopped, many, or wrong about the time."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.faults.jobs import AFTER, BEFORE
from tests.faults.site import Site

RECOVERED_WITHIN = 15
SKEWED_CLOCK = Path(__file__).parent / "skewed"


@pytest.mark.parametrize("point", [BEFORE, AFTER])
async def test_w12_a_killed_workers_job_is_done_once_by_another(site: Site, point: str) -> None:
    workers = {name: await site.worker(name) for name in ("w1", "w2")}
    submitted = await site.submit(pause_at=point, seconds=60)
    victim = await site.paused(submitted.job_id, point)

    workers[victim].kill()
    seconds = await site.claimed_again(submitted.job_id, RECOVERED_WITHIN)
    await site.all_finished()

    row = await site.job(submitted.job_id)
    assert (row.result, row.attempts, row.locked_by) == ("SUCCESS", 2, "w2" if victim == "w1" else "w1")
    await site.survived(f"kill -9 of a worker {point}", seconds, [submitted.job_id])


async def test_w9_a_worker_stopped_past_its_lease_writes_nothing_when_it_wakes(site: Site) -> None:
    workers = {name: await site.worker(name, lease=3) for name in ("w1", "w2")}
    submitted = await site.submit(pause_at=AFTER, seconds=2)
    sleeper = await site.paused(submitted.job_id, AFTER)

    workers[sleeper].send(signal.SIGSTOP)
    seconds = await site.claimed_again(submitted.job_id, RECOVERED_WITHIN)
    await site.all_finished()
    before = await site.job(submitted.job_id)
    workers[sleeper].send(signal.SIGCONT)
    await workers[sleeper].says("job.lease_lost")
    assert await site.job(submitted.job_id) == before
    later = await site.submit()
    await site.all_finished()

    assert before.locked_by != sleeper
    await site.survived("SIGSTOP of a worker past its lease, then SIGCONT", seconds, [submitted.job_id, later.job_id])


async def test_w1_of_eight_workers_one_gets_the_job(site: Site) -> None:
    await asyncio.gather(*(site.worker(f"w{number}") for number in range(8)))

    accepted = [(await site.submit()).job_id for _ in range(10)]
    seconds = await site.all_finished()

    assert [(await site.job(job_id)).attempts for job_id in accepted] == [1] * 10
    await site.survived("eight workers claim each of ten jobs", seconds, accepted)


async def test_a_worker_with_a_wrong_clock_neither_steals_nor_loses_jobs(site: Site) -> None:
    await site.worker("right", lease=3)
    submitted = await site.submit(pause_at=AFTER, seconds=5)
    assert await site.paused(submitted.job_id, AFTER) == "right"

    await site.worker("wrong", lease=3, **wrong_clock())
    await site.all_finished()
    accepted = [(await site.submit(pause_at=BEFORE, seconds=1)).job_id for _ in range(8)]
    seconds = await site.all_finished()

    rows = [await site.job(job_id) for job_id in [submitted.job_id, *accepted]]
    assert [row.attempts for row in rows] == [1] * 9
    assert rows[0].locked_by == "right"
    told = [row.meta["phases"][0]["started_at"] for row in rows if row.locked_by == "wrong"]
    assert told, "the worker with the wrong clock did nothing"
    assert all(datetime.fromisoformat(time) > datetime.now(UTC) + timedelta(hours=1) for time in told)
    await site.survived("a worker's clock is two hours ahead", seconds, [submitted.job_id, *accepted])


def wrong_clock() -> dict[str, Any]:
    """Environment of a process whose clock is two hours ahead: libfaketime if it is there, else a patched `time`."""
    for library in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
        return {"LD_PRELOAD": str(library), "FAKETIME": "+2h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    return {"PYTHONPATH": str(SKEWED_CLOCK)}
