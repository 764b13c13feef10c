"""Metrics and the probe of a worker."""

import httpx

from gql_server.app import worker_metrics
from tests.http.test_metrics import key, scrape
from tests.ledger.conftest import Ledger


async def test_a_worker_counts_what_it_claims_and_finishes_and_is_ready_while_it_reaches_the_database(work: Ledger) -> None:
    worker = work.worker()
    app = worker_metrics(worker, work.engine)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        assert (await client.get("/readyz")).status_code == 503
        before = await scrape(app)
        await work.submit("noop")
        await work.submit("noop", module_type_id=5)

        await worker.run(drain=True)

        assert (await client.get("/readyz")).json() == {"ready": True}
    after = await scrape(app)
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    assert grown[key("gql_jobs_claimed_total", job_type="noop")] == 2
    assert grown[key("gql_jobs_finished_total", job_type="noop", result="SUCCESS")] == 2
    assert grown[key("gql_job_seconds_count", job_type="noop")] == 2
    assert (after[key("gql_jobs_running")], after[key("gql_worker_concurrency")]) == (0, worker.config.concurrency)
