"""The wire between one worker and the database: refused, or cut at the worst moment."""

import asyncio

import pytest

from tests.faults.jobs import AFTER
from tests.faults.proxy import FaultProxy, Loss
from tests.faults.site import Site


async def test_w11_a_worker_that_cannot_beat_cancels_its_handler_and_writes_nothing(site: Site) -> None:
    async with FaultProxy(site.cluster.port) as proxy:
        cut_off = await site.worker("cut-off", port=proxy.port)
        submitted = await site.submit(pause_at=AFTER, seconds=60)
        await site.paused(submitted.job_id, AFTER)
        await site.worker("connected")

        proxy.refuse()
        seconds = await site.claimed_again(submitted.job_id, within=15)
        await site.all_finished()
        await cut_off.says("job.lease_lost")
        proxy.restore()
        accepted = [submitted.job_id]
        async with asyncio.timeout(20):
            while (await site.job(accepted[-1])).locked_by != "cut-off":
                accepted.append((await site.submit()).job_id)
                await site.all_finished()

        row = await site.job(submitted.job_id)
        assert (row.result, row.attempts, row.locked_by) == ("SUCCESS", 2, "connected")
        await site.survived("heartbeat connections refused", seconds, accepted)


@pytest.mark.parametrize(
    ("loss", "attempts", "what"),
    [
        (Loss.REQUEST, 2, "COMMIT lost on its way"),
        (Loss.REPLY, 1, "reply to COMMIT swallowed, connection reset"),
        (Loss.SILENCE, 1, "reply to COMMIT swallowed, connection silent"),
    ],
)
async def test_a_commit_in_doubt_is_decided_by_the_database(site: Site, loss: Loss, attempts: int, what: str) -> None:
    async with FaultProxy(site.cluster.port) as proxy:
        worker = await site.worker("w1", lease=3, port=proxy.port)
        proxy.lose_commit(b"INTO effects", loss)

        submitted = await site.submit()
        await asyncio.wait_for(proxy.struck.wait(), 10)
        accepted = [submitted.job_id, *[(await site.submit()).job_id for _ in range(4)]]
        seconds = await site.all_finished()

        row = await site.job(submitted.job_id)
        assert (row.result, row.attempts) == ("SUCCESS", attempts)
        assert "job.failed" not in worker.said
        await worker.says("job.lease_lost" if loss is Loss.SILENCE else "job.connection_lost")
        await site.survived(what, seconds, accepted)
