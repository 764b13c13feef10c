"""An upgrade under load: the programs of before serve and work while a newer version migrates, and after it."""

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.db.test_compatibility import migrated_by_newer
from tests.site import Site, opened

QUERY = {"query": "{ pipelines(first: 5) { nodes { status jobs { nodes { kind state } } } } workers { podId } }"}


@pytest.mark.slow
async def test_no_request_fails_and_no_job_is_lost_while_a_newer_version_adds_to_the_schema(
    dsn: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    async with opened(dsn, engine, tmp_path) as site:
        api = await site.serve("api")
        site.start("worker", "worker")
        await site.run_pipeline(2026)
        over = asyncio.Event()
        asking = [asyncio.create_task(ask(site, over)) for _ in range(3)]

        async with migrated_by_newer(dsn, tmp_path, "EXPANDS = True", "EXPANDS = True"):
            await site.run_pipeline(2027)
        await site.stop(api)
        over.set()
        answers = [answer for answered in await asyncio.gather(*asking) for answer in answered]
        again = await site.serve("api of before, started again")
        site.start("worker of before, started again", "worker")
        await site.run_pipeline(2028)

        assert {*answers} == {200}
        assert len(answers) > 20
        assert again.popen.poll() is None


async def ask(site: Site, over: asyncio.Event) -> list[int]:
    """Statuses of operations and of the probe, until the API is to end."""
    statuses: list[int] = []
    headers = {"Authorization": f"Bearer {site.environment['GQL_TOKEN']}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        while not over.is_set():
            try:
                response = await client.post(site.url, json=QUERY)
                statuses.append(500 if "errors" in response.json() else response.status_code)
                statuses.append((await client.get(site.url.replace("graphql", "readyz"))).status_code)
            except httpx.TransportError:
                return statuses
    return statuses
