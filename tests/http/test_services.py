"""Tokens of services: what their scopes let them do, and how they end."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gql_server.app import create_app
from gql_server.credentials import PREFIX, ServiceTokens, digest
from gql_server.credentials.revocation import Cause
from gql_server.db.models import ServiceToken
from gql_server.feed.session import Session
from gql_server.http import believed, services
from gql_server.http.graphiql import PageConfig
from gql_server.http.revocation import Revocations
from gql_server.policy import Role
from gql_server.settings import Settings
from tests.following import PROTOCOL, Followed, on_socket, on_stream
from tests.provider import listening
from tests.site import Site

READ = "{ viewer { id displayName } health { staleScopes { __typename } } }"
RECALCULATE = """mutation {
  syncUnits(input: { year: 2025 }) { __typename ... on ForbiddenProblem { permission } }
}"""


SAVE = """mutation {
  saveView(input: { name: "mine", document: "{ viewer { id } }" }) { __typename ... on ForbiddenProblem { permission } }
}"""
DELETE = """mutation ($id: ID!) {
  deleteView(input: { id: $id }) { __typename ... on ForbiddenProblem { permission } }
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


async def test_views_are_saved_by_who_has_the_scope_for_that_and_no_reader(api: Api):
    reader, saver = await api.token("pipelines:read", "people:read", "schema:read"), await api.token("views:edit")

    saved = (await api.ask(saver, SAVE)).json()["data"]["saveView"]
    refused = (await api.ask(reader, SAVE)).json()["data"]["saveView"]
    [view] = (await api.ask(reader, "{ viewer { views { id } } }")).json()["data"]["viewer"]["views"]
    request = {"query": DELETE, "variables": view}
    kept = (await api.send(reader, "POST", "/graphql", json=request)).json()["data"]["deleteView"]

    assert saved == {"__typename": "SaveViewPayload"}
    assert refused == kept == {"__typename": "ForbiddenProblem", "permission": "views:edit"}
    deleted = (await api.send(saver, "POST", "/graphql", json=request)).json()
    assert deleted == {"data": {"deleteView": {"__typename": "DeleteViewPayload"}}}


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
    monkeypatch.setattr(believed, "BELIEVED_SECONDS", 0.0)
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


async def test_a_token_that_is_revoked_shows_nothing_more_and_others_go_on(api: Api, engine: AsyncEngine):
    token, other = await api.token("pipelines:read"), await api.token("pipelines:read")
    followed = await Followed.started(engine)
    headers = {"Authorization": f"Bearer {token}"}

    async with (
        listening(api.app) as url,
        on_socket(url, followed, **headers) as socket,
        on_stream(url, followed, **headers) as stream,
        on_socket(url, followed, Authorization=f"Bearer {other}") as untouched,
    ):
        [_, oldest] = await api.kept.all()
        await api.kept.revoke(oldest.id)
        await followed.end()

        assert await socket.end() == ([], 4403)
        assert await stream.end() == ([], ["UNAUTHENTICATED"], True)
        assert (await untouched.end())[0] == ["SUCCESS"]
        assert (await api.ask(token, "{ __typename }")).status_code == 401


async def test_what_is_followed_is_shown_though_heartbeats_came_before_it(
    api: Api, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gql_server.http.streams.Session", partial(Session, heartbeat_seconds=0.02))
    headers = {"Authorization": f"Bearer {await api.token('pipelines:read')}"}
    followed = await Followed.started(engine)

    async with (
        listening(api.app) as url,
        on_socket(url, followed, **headers) as socket,
        on_stream(url, followed, **headers) as stream,
    ):
        await asyncio.sleep(0.2)  # so that some come
        await followed.end()

        assert await socket.end() == (["SUCCESS"], None)
        assert await stream.end() == (["SUCCESS"], [], True)


async def test_a_token_whose_scopes_change_is_told_to_come_again(api: Api, engine: AsyncEngine):
    token = await api.token("pipelines:read")
    followed = await Followed.started(engine)

    async with listening(api.app) as url, on_socket(url, followed, Authorization=f"Bearer {token}") as socket:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE service_tokens SET scopes = '{schema:read}'"))
        await followed.end()

        assert await socket.end() == ([], 4440)
        assert (await api.ask(token, READ)).json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_change_that_nobody_heard_of_is_known_ten_minutes_later(api: Api):
    known = services.Services(api.kept)

    viewer = await known.viewer(await api.token("pipelines:read"))

    assert viewer.expires_at is not None
    assert timedelta(minutes=9) < viewer.expires_at - datetime.now(UTC) <= timedelta(minutes=10)


async def test_a_token_that_ends_twice_closes_all_that_it_has_open(api: Api, engine: AsyncEngine):
    token = await api.token("pipelines:read")
    followed = await Followed.started(engine)
    headers = {"Authorization": f"Bearer {token}"}

    async with (
        listening(api.app) as url,
        on_socket(url, followed, **headers) as one,
        on_socket(url, followed, **headers) as other,
    ):
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE service_tokens SET scopes = '{schema:read}'"))
            await connection.execute(text("UPDATE service_tokens SET revoked_at = clock_timestamp()"))
        await followed.end()

        assert [await one.end(), await other.end()] == [([], 4440), ([], 4440)]


def test_what_is_open_is_ended_once_however_often_its_token_ends():
    token, revocations, told = f"{PREFIX}token", Revocations(), list[Cause]()
    key = digest(token).hex()

    with revocations.held(f"Bearer {token}", told.append):
        for notice in (f"changed {key}", f"ended {key}", "changed *"):
            revocations.heard(notice)

    assert told == [Cause.CHANGED]


async def test_use_of_a_token_closes_nothing(api: Api, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch):
    token = await api.token("pipelines:read")
    followed = await Followed.started(engine)

    async with listening(api.app) as url, on_socket(url, followed, Authorization=f"Bearer {token}") as socket:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE service_tokens SET used_at = clock_timestamp()"))
        await followed.end()

        assert (await socket.end())[0] == ["SUCCESS"]


async def test_a_token_that_is_revoked_while_it_is_read_opens_no_socket_and_is_not_believed(
    api: Api, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
):
    token = await api.token("pipelines:read")
    has_read, may_tell, find = asyncio.Event(), asyncio.Event(), ServiceTokens.find

    async def slowly(kept: ServiceTokens, wanted: str) -> Any:
        found = await find(kept, wanted)
        has_read.set()
        await may_tell.wait()
        return found

    monkeypatch.setattr(ServiceTokens, "find", slowly)
    async with listening(api.app) as url:
        address = f"{url.replace('http', 'ws')}/graphql"
        headers = {"Authorization": f"Bearer {token}"}
        async with connect(address, subprotocols=[PROTOCOL], additional_headers=headers) as connection:
            await connection.send('{"type": "connection_init"}')
            await has_read.wait()
            [only] = await api.kept.all()
            await api.kept.revoke(only.id)
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(60):
                    await connection.recv()
            may_tell.set()
            assert connection.close_code == 4403
        assert (await api.ask(token, "{ __typename }")).status_code == 401


async def test_a_revocation_by_the_command_closes_what_is_open_at_two_servers(dsn: str, engine: AsyncEngine, tmp_path: Path):
    """Three processes of ours, on one database."""
    sites = [Site(dsn, engine, tmp_path), Site(dsn, engine, tmp_path)]
    kept = ServiceTokens(engine)
    given: dict[str, Any] = {"role": Role.SUPERADMIN.value, "unit": None, "provider": "ACCRED", "lifetime": timedelta(days=1)}
    token = await kept.add("scraper", scopes=["pipelines:read"], **given)
    [only] = await kept.all()
    followed = await Followed.started(engine)
    try:
        await asyncio.gather(*(site.serve(f"api-{number}") for number, site in enumerate(sites)))
        one, other = (site.url.removesuffix("/graphql") for site in sites)
        headers = {"Authorization": f"Bearer {token}"}
        async with on_socket(one, followed, **headers) as first, on_socket(other, followed, **headers) as second:
            revoking = sites[0].start("revoke", "service-token", "revoke", str(only.id))
            assert await asyncio.to_thread(revoking.popen.wait, 60) == 0, revoking.said
            await followed.end()

            assert [await first.end(), await second.end()] == [([], 4403), ([], 4403)]
    finally:
        for process in (process for site in sites for process in site.processes):
            if process.popen.poll() is None:
                process.kill()
