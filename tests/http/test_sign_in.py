"""Sign-in of browsers: the flow, whom a session lets in and from where, how it is renewed, and how it ends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from gql_server.app import create_app
from gql_server.db.models import BrowserSession
from gql_server.errors import Stop
from gql_server.feed import hub
from gql_server.http import sessions
from gql_server.http.authentication import TokenAuthority
from gql_server.http.graphiql import PageConfig
from gql_server.settings import Settings
from tests.following import Followed, on_socket, on_stream
from tests.provider import CLIENT, SECRET, Provider, listening, provided

WHO = "{ viewer { id displayName } }"
OWN_PAGE = {"GraphQL-Require-Preflight": "1", "Sec-Fetch-Site": "same-origin"}
ADA = {"id": "ada", "displayName": "Ada Lovelace"}
PROTOCOL = Subprotocol("graphql-transport-ws")
LEAVE_FEED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gql-server feed'"


def ends_tls(app: Any) -> Any:
    """A proxy before the application that asks it without encryption, and under another name."""

    async def passing(scope: Any, receive: Any, send: Any) -> None:
        headers = [(name, b"api:8000" if name == b"host" else value) for name, value in scope["headers"]]
        await app({**scope, "scheme": "http", "headers": headers}, receive, send)

    return passing


class Server:
    """One process of the API, and a browser before it."""

    def __init__(self, dsn: str, issuer: str, origin: str = "http://127.0.0.1:8000", **settings: Any) -> None:
        given: dict[str, Any] = {
            "jwt_secret": SecretStr("a secret that is long enough for HS256"),
            "oidc_issuer": issuer,
            "oidc_client_id": CLIENT,
            "oidc_client_secret": SecretStr(SECRET),
            "oidc_roles": {"groups": {"ledger-operators": "operator"}},
            **settings,
        }
        self.settings = Settings(**given)
        self.app: Starlette = create_app(self.settings, dsn, PageConfig())
        public = self.settings.public_origin
        reached = ends_tls(self.app) if public else self.app
        self.browser = httpx.AsyncClient(transport=httpx.ASGITransport(reached), base_url=public or origin)

    @property
    def cookie(self) -> str:
        """The session of the browser, as it sends it."""
        return f"gql-session={self.browser.cookies['gql-session']}"

    async def begin(self, path: str = "/", **headers: str) -> httpx.Response:
        """Answer by which the provider sends the browser back."""
        base = self.settings.base_path
        there = await self.browser.get(f"{base}/sign-in", params={"next": path}, headers=headers)
        assert there.status_code == 303
        async with httpx.AsyncClient() as elsewhere:
            return await elsewhere.get(there.headers["location"])

    async def sign_in(self, path: str = "/", **headers: str) -> httpx.Response:
        """The answer to the browser that comes back."""
        back = await self.begin(path, **headers)
        return await self.browser.get(back.headers["location"])

    async def ask(self, **headers: str) -> httpx.Response:
        path = f"{self.settings.base_path}/graphql"
        return await self.browser.post(path, json={"query": WHO}, headers={**OWN_PAGE, **headers})

    async def viewer(self, **headers: str) -> Any:
        return (await self.ask(**headers)).json()["data"]["viewer"]


Serves = Callable[..., Awaitable[Server]]


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with provided() as provider:
        yield provider


@pytest.fixture
async def serves(dsn: str, provider: Provider) -> AsyncIterator[Serves]:
    """Starts processes of the API on the test's database."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Server:
            server = Server(dsn, provider.issuer, **settings)
            await stack.enter_async_context(server.app.router.lifespan_context(server.app))
            await stack.enter_async_context(server.browser)
            return server

        yield start


def cookies_of(answer: httpx.Response) -> dict[str, set[str]]:
    """The attributes of each cookie that is set, by its name."""
    found: dict[str, set[str]] = {}
    for header in answer.headers.get_list("set-cookie"):
        pair, *attributes = header.split("; ")
        found[pair.partition("=")[0]] = set(attributes)
    return found


async def test_somebody_signs_in_and_asks_with_the_roles_that_the_provider_tells(serves: Serves):
    server = await serves()

    answer = await server.sign_in("/pipelines?q=a%20b&status=ERROR")

    assert (answer.status_code, answer.headers["location"]) == (303, "/pipelines?q=a%20b&status=ERROR")
    assert cookies_of(answer) == {"gql-session": {"HttpOnly", "Max-Age=43200", "Path=/", "SameSite=lax"}}
    assert await server.viewer() == ADA
    workers = await server.browser.post("/graphql", json={"query": "{ workers { __typename } }"}, headers=OWN_PAGE)
    assert "errors" not in workers.json()
    session = await server.browser.get("/sign-in/session", headers=OWN_PAGE)
    assert session.json() == {"viewer": {"subject": "ada", "name": "Ada Lovelace"}}


@pytest.mark.parametrize(
    ("settings", "name", "path"),
    [
        ({"origin": "https://ledger.example.org"}, "__Host-gql-session", "Path=/"),
        ({"public_origin": "https://ledger.example.org"}, "__Host-gql-session", "Path=/"),
        ({"origin": "https://ledger.example.org", "base_path": "/gql"}, "__Secure-gql-session", "Path=/gql"),
    ],
)
async def test_over_https_no_other_host_can_set_or_read_the_cookie(
    serves: Serves, settings: dict[str, str], name: str, path: str
):
    server = await serves(**settings)

    answer = await server.sign_in()

    assert cookies_of(answer) == {name: {"HttpOnly", "Secure", "Max-Age=43200", path, "SameSite=lax"}}
    session = answer.headers["set-cookie"].partition(";")[0]
    assert await server.viewer(Cookie=session) == ADA
    assert (await server.ask(Cookie=session.replace(name, "gql-session"))).status_code == 401


async def test_behind_a_proxy_the_provider_is_told_the_address_that_browsers_see(serves: Serves):
    server = await serves(public_origin="https://ledger.example.org", base_path="/gql")

    there = await server.browser.get("/gql/sign-in")

    asked = parse_qs(urlsplit(there.headers["location"]).query)
    assert asked["redirect_uri"] == ["https://ledger.example.org/gql/sign-in/callback"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["scope"] == ["openid profile email"]


@pytest.mark.parametrize(
    "headers",
    [
        {"GraphQL-Require-Preflight": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.org"},
    ],
)
async def test_a_cookie_that_another_page_makes_go_along_lets_nobody_in(serves: Serves, headers: dict[str, str]):
    server = await serves(allowed_origins=("https://app.example.org",))
    await server.sign_in()

    assert (await server.ask(**headers)).status_code == 401
    upload = await server.browser.post("/uploads?start=false", content=b"a", headers={**OWN_PAGE, **headers})
    assert upload.status_code == 401


@pytest.mark.parametrize(
    ("origin", "status"), [("http://127.0.0.1:8000", 200), ("https://app.example.org", 401), ("null", 401)]
)
async def test_browsers_that_do_not_tell_the_site_tell_the_origin(serves: Serves, origin: str, status: int):
    server = await serves(allowed_origins=("https://app.example.org",))
    await server.sign_in()

    headers = {"GraphQL-Require-Preflight": "1", "Origin": origin}
    assert (await server.browser.post("/graphql", json={"query": WHO}, headers=headers)).status_code == status


async def test_a_session_uploads_and_reads_the_schema(serves: Serves):
    server = await serves()
    await server.sign_in()

    upload = await server.browser.post("/uploads?start=false", content=b"a", headers=OWN_PAGE)
    schema = await server.browser.get("/schema.graphql", headers=OWN_PAGE)

    assert (upload.status_code, schema.status_code) == (201, 200)


async def test_a_page_that_is_opened_is_shown_to_whom_the_cookie_is_of_and_none_that_is_framed(serves: Serves):
    server = await serves(introspection="permitted")
    await server.sign_in()

    opened = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    statuses = [
        (await server.browser.get("/schema.graphql", headers={**opened, "Sec-Fetch-Dest": dest})).status_code
        for dest in ("document", "iframe", "image", "empty")
    ]
    asked = await server.browser.get("/graphql?query={__typename}", headers={**opened, "Sec-Fetch-Dest": "document"})

    assert statuses == [200, 401, 401, 401]
    assert asked.status_code == 400


async def test_a_bearer_token_wins_over_the_cookie(serves: Serves):
    server = await serves()
    await server.sign_in()
    token = TokenAuthority.of(server.settings).mint("standard")

    assert (await server.viewer(Authorization=f"Bearer {token}"))["id"] == "standard"
    assert (await server.ask(Authorization="Bearer nonsense")).status_code == 401


WANTED = {
    "/pipelines/1?tab=graph": "/pipelines/1?tab=graph",
    "": "/",
    "//evil.example.org": "/",
    "/\\evil.example.org": "/",
    "/\t/evil.example.org": "/",
    "https://evil.example.org/": "/",
    "javascript:alert(1)": "/",
    "/..//evil.example.org": "/",
    "/%2e%2e/elsewhere": "/",
    "/sign-in": "/",
    "/sign-out": "/",
    "/sign-in/done": "/sign-in/done",
    "/" + "x" * 1024: "/",
    "/é": "/",
}


@pytest.mark.parametrize("wanted", WANTED)
async def test_nobody_is_sent_to_another_site_or_in_circles(serves: Serves, wanted: str):
    server = await serves()

    assert (await server.sign_in(wanted)).headers["location"] == WANTED[wanted]


async def test_below_a_base_path_nobody_is_sent_out_of_it(serves: Serves):
    server = await serves(base_path="/gql")

    assert [(await server.sign_in(wanted)).headers["location"] for wanted in ("/gql/fleet", "/other/app", "/gqlx")] == [
        "/gql/fleet",
        "/gql/",
        "/gql/",
    ]


async def test_a_sign_in_ends_in_the_browser_that_began_it(serves: Serves, provider: Provider):
    server = await serves()
    back = await server.begin()
    server.browser.cookies.clear()

    answer = await server.browser.get(back.headers["location"])

    assert answer.status_code == 403
    assert "This sign-in was not begun in this browser" in answer.text
    assert "set-cookie" not in answer.headers


async def test_a_code_of_somebody_elses_sign_in_is_refused(serves: Serves):
    server, other = await serves(), await serves()
    stolen = parse_qs(urlsplit((await other.begin()).headers["location"]).query)["code"][0]
    back = httpx.URL((await server.begin()).headers["location"])

    answer = await server.browser.get(back.copy_set_param("code", stolen))

    assert answer.status_code == 403
    assert "The identity provider has refused: sign in again." in answer.text
    assert (await server.ask()).status_code == 401


async def test_a_sign_in_has_ten_minutes(serves: Serves):
    server = await serves()
    key = Fernet.generate_key()
    statuses: list[str] = []
    for age in (599, 601):
        state = Fernet(key).encrypt_at_time(b'"/fleet"', int(time.time()) - age).decode()
        answer = await server.browser.get(
            "/sign-in/callback",
            params={"state": state, "error": "access_denied", "iss": server.settings.oidc_issuer or ""},
            headers={"Cookie": f"gql-sign-in={key.decode()}"},
        )
        statuses.append(answer.text)

    assert "access_denied" in statuses[0]
    assert 'href="/sign-in?next=/fleet"' in statuses[0]
    assert "more than ten minutes ago" in statuses[1]


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"nonce": "another"}, "ID token is not for this sign-in"),
        ({"azp": "another"}, "ID token is not for this sign-in"),
        ({"aud": "another"}, "ID token is not good"),
        ({"iss": "https://evil.example.org"}, "ID token is not good"),
        ({"exp": 1}, "ID token is not good"),
        ({"sub": "a\0b"}, "describes you in a way that is not understood"),
    ],
)
async def test_an_id_token_of_another_sign_in_is_refused(
    serves: Serves, provider: Provider, monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any], told: str
):
    server, signed = await serves(), provider.signed
    monkeypatch.setattr(provider, "signed", lambda **given: signed(**{**given, **claims}))

    answer = await server.sign_in()

    assert answer.status_code == 403
    assert told in answer.text


async def test_an_answer_of_another_provider_is_refused(serves: Serves):
    server = await serves()
    back = httpx.URL((await server.begin()).headers["location"])

    answers = [
        await server.browser.get(address)
        for address in (back.copy_set_param("iss", "https://evil.example.org"), back.copy_remove_param("iss"))
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert all("another identity provider" in answer.text for answer in answers)


async def test_what_the_provider_says_of_an_error_is_shown_as_text(serves: Serves):
    server = await serves()
    back = httpx.URL((await server.begin()).headers["location"]).copy_remove_param("code")

    answer = await server.browser.get(back.copy_set_param("error_description", "<script>alert(1)</script>"))

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert "<script" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_roles_of_an_access_token_for_this_server_come_before_those_of_the_id_token(serves: Serves, provider: Provider):
    provider.claims.pop("groups")
    provider.access_claims = {"aud": "gql-server", "groups": ["ledger-operators"]}
    server = await serves()
    await server.sign_in()

    asked = await server.browser.post("/graphql", json={"query": "{ workers { __typename } }"}, headers=OWN_PAGE)

    assert "errors" not in asked.json()


async def test_a_session_is_renewed_once_for_all_who_ask_at_all_processes(serves: Serves, provider: Provider):
    provider.answer = {"expires_in": 1}
    one, other = await serves(), await serves()
    await one.sign_in()
    other.browser.cookies = one.browser.cookies
    await asyncio.sleep(1.1)
    provider.answer = {"expires_in": 300}

    viewers = await asyncio.gather(*(server.viewer() for server in (one, other) for _ in range(10)))

    assert viewers == [ADA] * 20
    assert provider.refreshed == 1
    assert len(provider.refresh_tokens) == 1


async def test_a_session_is_renewed_before_it_ends(serves: Serves, provider: Provider, monkeypatch: pytest.MonkeyPatch):
    server = await serves()
    await server.sign_in()
    await server.viewer()
    before = provider.refreshed
    monkeypatch.setattr(sessions, "RENEWED_SHARE", 1)
    monkeypatch.setattr(sessions, "RENEWED_BEFORE", timedelta(minutes=10))
    provider.rotate("second")
    provider.claims["name"] = "Ada King"

    assert (await server.viewer())["displayName"] == "Ada King"
    assert (before, provider.refreshed) == (0, 1)


async def test_while_the_provider_is_away_a_session_goes_on_to_its_end_and_then_waits(
    serves: Serves, provider: Provider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sessions, "RENEWED_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(sessions, "RENEWED_SHARE", 1)
    provider.answer = {"expires_in": 2}
    server = await serves()
    await server.sign_in()
    provider.is_away = True

    meanwhile = await server.viewer()
    await asyncio.sleep(2.1)
    after = await server.ask()
    provider.is_away = False

    assert meanwhile == ADA
    assert (after.status_code, after.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")
    assert await server.viewer() == ADA


async def test_a_session_that_the_provider_does_not_renew_is_over(serves: Serves, provider: Provider, engine: AsyncEngine):
    provider.answer = {"expires_in": 1}
    server = await serves()
    await server.sign_in()
    provider.refresh_tokens.clear()
    await asyncio.sleep(1.1)

    assert (await server.ask()).status_code == 401
    async with engine.connect() as connection:
        assert (await connection.execute(select(BrowserSession.id))).all() == []


async def test_without_a_refresh_token_a_session_lasts_as_long_as_the_provider_vouched(serves: Serves, provider: Provider):
    provider.answer, provider.grants_refresh = {"expires_in": 1}, False
    server = await serves()
    await server.sign_in()

    first = await server.ask()
    await asyncio.sleep(1.1)

    assert (first.status_code, (await server.ask()).status_code) == (200, 401)


async def test_a_session_ends_after_its_lifetime_however_often_it_was_renewed(serves: Serves, provider: Provider):
    server = await serves(session_lifetime=timedelta(seconds=1))
    await server.sign_in()

    first = await server.ask()
    await asyncio.sleep(1.1)

    assert (first.status_code, (await server.ask()).status_code, provider.refreshed) == (200, 401, 0)


async def test_sign_out_ends_the_session_everywhere(serves: Serves, provider: Provider):
    one, other = await serves(), await serves()
    await one.sign_in()
    [token] = provider.refresh_tokens
    stolen = str(one.browser.cookies["gql-session"])

    answer = await one.browser.post("/sign-out", headers=OWN_PAGE)

    location = urlsplit(answer.json()["location"])
    asked = parse_qs(location.query)
    assert f"{location.scheme}://{location.netloc}{location.path}" == f"{provider.issuer}/end"
    assert asked["post_logout_redirect_uri"] == ["http://127.0.0.1:8000/"]
    assert asked["client_id"] == [CLIENT]
    assert asked["id_token_hint"][0].count(".") == 2
    assert provider.revoked == [token]
    assert "gql-session" not in one.browser.cookies
    assert [(await server.ask(Cookie=f"gql-session={stolen}")).status_code for server in (one, other)] == [401, 401]


async def test_only_a_page_of_ours_signs_out(serves: Serves):
    server = await serves()
    await server.sign_in()

    refused = [
        await server.browser.post("/sign-out", headers=headers)
        for headers in ({}, {**OWN_PAGE, "Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example.org"})
    ]

    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert (await server.browser.get("/sign-out")).status_code == 405
    assert await server.viewer() == ADA


async def test_signing_in_again_ends_the_session_before(serves: Serves, provider: Provider):
    server = await serves()
    await server.sign_in()
    before = str(server.browser.cookies["gql-session"])
    provider.claims = {"sub": "grace", "name": "Grace Hopper"}

    await server.sign_in()

    assert (await server.viewer())["id"] == "grace"
    assert (await server.ask(Cookie=f"gql-session={before}")).status_code == 401


async def test_the_database_knows_neither_the_cookie_nor_the_providers_tokens(
    serves: Serves, provider: Provider, engine: AsyncEngine
):
    server = await serves()
    await server.sign_in()

    async with engine.connect() as connection:
        [row] = (await connection.execute(text("SELECT to_jsonb(s)::text FROM browser_sessions s"))).scalars()
        [sealed] = (await connection.execute(select(BrowserSession.sealed))).scalars()

    [refresh_token] = provider.refresh_tokens
    cookie = str(server.browser.cookies["gql-session"])
    assert cookie not in row
    assert cookie.encode().hex() not in row
    assert refresh_token.encode() not in sealed


async def test_a_provider_that_is_away_is_told_to_the_person(serves: Serves, provider: Provider):
    provider.is_away = True
    server = await serves()

    answer = await server.browser.get("/sign-in")

    assert answer.status_code == 503
    assert "The identity provider cannot be reached: try again in a moment." in answer.text


async def test_without_a_client_id_nothing_offers_a_sign_in(serves: Serves):
    server = await serves(oidc_client_id=None)

    assert (await server.browser.get("/sign-in")).status_code == 404
    assert (await server.ask(Cookie="gql-session=anything")).status_code == 401


def test_a_client_id_without_a_provider_is_refused():
    settings = Settings(jwt_secret=SecretStr("a secret that is long enough for HS256"), oidc_client_id=CLIENT)

    with pytest.raises(Stop, match="GQL_OIDC_CLIENT_ID is of no use without GQL_OIDC_ISSUER"):
        create_app(settings, "postgresql://nowhere", PageConfig())


async def said(url: str, **headers: str) -> tuple[Any, int | None]:
    """The first message of a socket that says nothing of who opens it, and the code with which it is closed."""
    origin = headers.pop("Origin", None)
    async with connect(
        f"{url.replace('http', 'ws')}/graphql",
        subprotocols=[PROTOCOL],
        origin=Origin(origin) if origin else None,
        additional_headers=headers,
    ) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": None}}))
        message = None
        try:
            async with asyncio.timeout(20):
                message = json.loads(await socket.recv())
                await socket.recv()
        except ConnectionClosed:
            pass
        return message, socket.close_code


async def test_a_socket_of_our_page_lives_as_long_as_the_session_and_the_next_one_goes_on(serves: Serves, provider: Provider):
    provider.answer = {"expires_in": 2}
    server = await serves()
    await server.sign_in()
    cookie = server.cookie

    async with listening(server.app) as url:
        first = await said(url, Cookie=cookie, Origin=url)
        second = await said(url, Cookie=cookie, Origin=url)

    assert (first, second) == ((({"type": "connection_ack"}), 4440), (({"type": "connection_ack"}), 4440))
    assert provider.refreshed >= 1


async def test_a_socket_of_an_allowed_page_elsewhere_needs_a_token_of_its_own(serves: Serves):
    server = await serves(allowed_origins=("https://app.example.org",))
    await server.sign_in()
    cookie = server.cookie

    async with listening(server.app) as url:
        assert await said(url, Cookie=cookie, Origin="https://app.example.org") == (None, 4401)
        assert await said(url, Cookie="gql-session=nonsense", Origin=url) == (None, 4403)


def renew_at_once(patched: pytest.MonkeyPatch) -> None:
    """Have each session renewed when it is asked for next."""
    patched.setattr(sessions, "RENEWED_BEFORE", timedelta(days=1))
    patched.setattr(sessions, "RENEWED_SHARE", 1)


async def execute(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def test_a_sign_out_closes_what_the_session_has_open_at_every_process_and_nothing_more_is_shown(
    serves: Serves, engine: AsyncEngine
):
    one, other = await serves(), await serves()
    await one.sign_in()
    await other.sign_in()
    mine, another = one.cookie, other.cookie
    followed = await Followed.started(engine, "DEFAULT")

    async with (
        listening(other.app) as url,
        on_socket(url, followed, Cookie=mine) as socket,
        on_stream(url, followed, Cookie=mine) as stream,
        on_socket(url, followed, Cookie=another) as of_another_browser,
    ):
        assert (await one.browser.post("/sign-out", headers=OWN_PAGE)).status_code == 200
        await followed.end()

        assert await socket.end() == ([], 4403)
        assert await stream.end() == ([], ["UNAUTHENTICATED"], True)
        assert (await of_another_browser.end())[0] == ["SUCCESS"]
        assert (await other.ask(Cookie=mine)).status_code == 401
        assert await said(url, Cookie=mine, Origin=url) == (None, 4403)


async def test_an_end_of_all_sessions_closes_what_is_open(serves: Serves, engine: AsyncEngine):
    server = await serves()
    await server.sign_in()
    cookie = server.cookie
    followed = await Followed.started(engine, "DEFAULT")

    async with listening(server.app) as url, on_socket(url, followed, Cookie=cookie) as socket:
        await execute(engine, "TRUNCATE browser_sessions")
        await followed.end()

        assert await socket.end() == ([], 4440)
        assert (await server.ask(Cookie=cookie)).status_code == 401


@pytest.mark.parametrize("every_seconds", [0.1, 3600.0])
async def test_an_end_that_nobody_heard_of_is_found_before_anything_is_shown(
    serves: Serves, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, every_seconds: float
):
    """Looked for now and then, and at once after the listener was away."""
    monkeypatch.setattr(hub, "CHECK_EVERY_SECONDS", every_seconds)
    server = await serves()
    await server.sign_in()
    cookie = server.cookie
    followed = await Followed.started(engine, "DEFAULT")

    async with listening(server.app) as url, on_socket(url, followed, Cookie=cookie) as socket:
        await execute(engine, "ALTER TABLE browser_sessions DISABLE TRIGGER USER", "DELETE FROM browser_sessions")
        if every_seconds > 1:
            await execute(engine, LEAVE_FEED)

        assert await socket.end() == ([], 4403)


async def test_a_session_that_the_provider_ends_shows_nothing_more_at_any_process(
    serves: Serves, provider: Provider, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
):
    one, other = await serves(), await serves()
    await one.sign_in()
    cookie = one.cookie
    followed = await Followed.started(engine, "DEFAULT")

    async with listening(other.app) as url, on_socket(url, followed, Cookie=cookie) as socket:
        provider.refresh_tokens.clear()
        renew_at_once(monkeypatch)
        assert (await one.ask()).status_code == 401
        await followed.end()

        assert await socket.end() == ([], 4403)


async def test_a_renewal_with_other_roles_lets_sockets_come_again_with_those(
    serves: Serves, provider: Provider, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
):
    one, other = await serves(), await serves()
    await one.sign_in()
    cookie = one.cookie
    followed = await Followed.started(engine, "DEFAULT")

    async with (
        listening(other.app) as url,
        on_socket(url, followed, Cookie=cookie) as socket,
        on_stream(url, followed, Cookie=cookie) as stream,
    ):
        provider.claims = {"sub": "ada", "name": "Ada Lovelace", "groups": []}
        with monkeypatch.context() as patched:
            renew_at_once(patched)
            assert await one.viewer() == ADA
        await followed.end()

        assert await socket.end() == ([], 4440)
        assert await stream.end() == ([], [], False)
        workers = await other.browser.post(
            "/graphql", json={"query": "{ workers { __typename } }"}, headers={**OWN_PAGE, "Cookie": cookie}
        )
        assert workers.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
