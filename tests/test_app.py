"""The process of the API: what it began for its clients ends with it."""

import asyncio
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.app import create_app
from gql_server.commands import bulk
from gql_server.http.authentication import TokenAuthority
from gql_server.http.graphiql import PageConfig
from gql_server.settings import Settings
from tests.graph.mutations.test_bulk import OPERATION, confirmation, many, progress, send
from tests.graphql import Client


class Served(Client):
    """A client of the whole application."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self.headers = {"Authorization": f"Bearer {TokenAuthority.of(settings).mint('operator')}"}
        self.transport = httpx.ASGITransport(app)


async def test_an_abort_that_goes_on_behind_its_answer_ends_with_the_process_and_goes_on_in_the_next(
    dsn: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many(engine, 3)
    settings = Settings(jwt_secret=SecretStr("a secret that is long enough for HS256"))
    began, ended = asyncio.Event(), asyncio.Event()

    async def endless(*arguments: Any) -> Any:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with monkeypatch.context() as first:
        first.setattr(bulk, "WAITS_SECONDS", 0)
        first.setattr(bulk, "_step", endless)
        app = create_app(settings, dsn, PageConfig())
        async with app.router.lifespan_context(app):
            client = Served(app, settings)
            preview = await send(client, max=250)
            await client.query(OPERATION, input=confirmation(preview, max=250))
            async with asyncio.timeout(20):
                await began.wait()
        assert ended.is_set()

    again = create_app(settings, dsn, PageConfig())
    async with again.router.lifespan_context(again):
        client = Served(again, settings)
        await client.query(OPERATION, input=confirmation(preview, max=250))
        async with asyncio.timeout(20):
            while (await progress(client, preview))["finishedAt"] is None:
                await asyncio.sleep(0.01)
        assert (await progress(client, preview))["succeeded"] == 3
