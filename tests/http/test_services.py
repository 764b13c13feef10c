"""Tokens of services: what their scopes let them do, and how they end."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.app import create_app
from gql_server.credentials import ServiceTokens
from gql_server.db.models import ServiceToken
from gql_server.http import services
from gql_server.http.graphiql import PageConfig
from gql_server.policy import Role
from gql_server.settings import Settings

READ = "{ viewer { id displayName } health { staleScopes { __typename } } }"
RECALCULATE = """mutation {
  syncUnits(input: { year: 2025 }) { __typename ... on ForbiddenProblem { permission } }
}"""


class Api:
    """The application, and services that ask it."""

    def __init__(self, dsn: str, engine: AsyncEngine) -> None:
        self.app = create_app(Settings(jwt_secret=SecretStr("a secret that is long enough for HS256")), dsn, PageConfig())
        self.kept = ServiceTokens(engine)

    async def token(self, *scopes: str, **given: Any) -> str:
        whole: dict[str, Any] = {"role": Role.SUPERADMIN.value, "unit": None, "provider": "ACCRED", **given}
        return await self.kept.add("scraper", scopes=scopes, lifetime=whole.pop("lifetime", timedelta(days=1)), **whole)

    async def send(self, token: str, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", **request.pop("headers", {})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://server") as client:
            return await client.request(method, path, headers=headers, **request)

    async def ask(self, token: str, query: str) -> httpx.Response:
        return await self.send(token, "POST", "/graphql", json={"query": query})


@pytest.fixture
async def api(dsn: str, engine: AsyncEngine) -> AsyncIterator[Api]:
    api = Api(dsn, engine)
    async with api.app.router.lifespan_context(api.app):
        yield api


async def test_a_scraper_reads_and_changes_nothing(api: Api):
    token = await api.token("pipelines:read")

    read = (await api.ask(token, READ)).json()
    changed = (await api.ask(token, RECALCULATE)).json()
    upload = await api.send(token, "POST", "/uploads?start=false", content=b"a")

    assert read == {"data": {"viewer": {"id": "service:scraper", "displayName": "scraper"}, "health": {"staleScopes": []}}}
    assert changed["data"]["syncUnits"] == {
        "__typename": "ForbiddenProblem",
        "permission": "backoffice.pipeline_operations:edit",
    }
    assert upload.status_code == 403


async def test_a_pipeline_of_ci_uploads_for_its_unit_and_reads_no_health(api: Api):
    token = await api.token("data:upload", role=Role.PRINCIPAL.value, unit="10208")

    upload = await api.send(token, "POST", "/uploads?start=false", content=b"a")
    read = (await api.ask(token, "{ health { staleScopes { __typename } } }")).json()

    assert upload.status_code == 201
    assert read["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_what_acts_is_named_in_the_audit(api: Api, engine: AsyncEngine):
    token = await api.token("years:configure")
    create = "mutation { createYearConfiguration(input: { year: 2026 }) { __typename } }"

    assert (await api.ask(token, create)).json()["data"]["createYearConfiguration"]["__typename"] != "ForbiddenProblem"
    async with engine.connect() as connection:
        actors = (await connection.execute(text("SELECT DISTINCT created_by ->> 'user_id' FROM pipelines"))).scalars().all()
    assert actors == ["service:scraper"]


async def test_a_revoked_token_lets_nobody_in(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(services, "KNOWN_SECONDS", 0.0)
    token, other = await api.token("pipelines:read"), await api.token("pipelines:read")
    before = await api.ask(token, "{ __typename }")
    [newest, oldest] = await api.kept.all()

    assert await api.kept.revoke(oldest.id) == "scraper"
    assert await api.kept.revoke(oldest.id) is None

    assert newest.id > oldest.id
    assert (before.status_code, (await api.ask(token, "{ __typename }")).status_code) == (200, 401)
    assert (await api.ask(other, "{ __typename }")).status_code == 200


async def test_an_expired_token_lets_nobody_in(api: Api):
    token = await api.token("pipelines:read", lifetime=timedelta(seconds=1))
    before = await api.ask(token, "{ __typename }")
    await asyncio.sleep(1.1)

    assert (before.status_code, (await api.ask(token, "{ __typename }")).status_code) == (200, 401)
    assert (await api.ask("gqls_made-up", "{ __typename }")).status_code == 401


async def test_the_database_knows_a_token_by_its_hash_alone_and_when_it_was_used(api: Api, engine: AsyncEngine):
    token = await api.token("pipelines:read")
    [unused] = await api.kept.all()

    await api.ask(token, "{ __typename }")

    [used] = await api.kept.all()
    assert (unused.used_at, used.used_at is not None) == (None, True)
    async with engine.connect() as connection:
        [row] = (await connection.execute(text("SELECT to_jsonb(t)::text FROM service_tokens t"))).scalars()
        [digest] = (await connection.execute(select(ServiceToken.digest))).scalars()
    assert token not in row
    assert token.removeprefix("gqls_") not in row
    assert len(digest) == 32
