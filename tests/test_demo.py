"""The demo's tokens, which must outlive none of their readers."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import uvicorn
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import Route

from gql_server.http.authentication import TokenAuthority
from gql_server.http.uploads import Uploads
from gql_server.processes.demonstration import demo_headers, demo_page
from gql_server.processes.operating_day import DAY, Demo, UploadRefused
from gql_server.worker import registry

AUTHORITY = TokenAuthority("k" * 32, "issuer", "audience")
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
async def origin(engine: AsyncEngine) -> AsyncIterator[str]:
    """Address of a server that takes uploads."""
    uploads = Uploads(engine, registry, AUTHORITY.authenticate, max_bytes=2**20)
    app = Starlette(routes=[Route("/uploads", uploads.post, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


async def test_every_upload_brings_a_token_of_its_own(engine: AsyncEngine, origin: str) -> None:
    expired = AUTHORITY.mint("operator", provider="ACCRED", lifetime=timedelta(seconds=-1))
    fresh = AUTHORITY.mint("operator", provider="ACCRED")
    tokens = iter([expired, fresh])
    viewer = AUTHORITY.authenticate(f"Bearer {fresh}")
    demo = Demo(
        engine,
        registry,
        viewer,
        lambda: {"Authorization": f"Bearer {next(tokens)}"},
        origin=origin,
        examples=EXAMPLES,
        console=Console(),
    )

    with pytest.raises(UploadRefused, match="UNAUTHENTICATED"):
        await demo._upload(DAY[0])
    with pytest.raises(UploadRefused, match="YEAR_NOT_CREATED"):
        await demo._upload(DAY[0])
    await demo.close()


async def test_a_page_that_is_served_later_carries_tokens_that_expire_later() -> None:
    page = demo_page(AUTHORITY)

    first = second = page.as_script()
    async with asyncio.timeout(60):
        while second == first:
            await asyncio.sleep(0.05)
            second = page.as_script()

    told = [json.loads(script.removeprefix("window.__GQL__ = ")) for script in (first, second)]
    people = [
        [
            AUTHORITY.authenticate(asked["Authorization"])
            for asked in (page["headers"], *(v["headers"] for v in page["viewers"]))
        ]
        for page in told
    ]
    assert [person.subject for person in people[0]] == ["operator", "operator", "superadmin", "principal-10208", "standard"]
    for earlier, later in zip(*people, strict=True):
        assert earlier.expires_at
        assert later.expires_at
        assert timedelta(seconds=1) <= later.expires_at - earlier.expires_at <= timedelta(seconds=3)


def test_a_token_of_the_demo_is_of_the_provider_of_its_data() -> None:
    viewer = AUTHORITY.authenticate(demo_headers(AUTHORITY, "standard")()["Authorization"])

    assert (viewer.subject, viewer.provider, viewer.permissions) == ("standard", "ACCRED", frozenset())
