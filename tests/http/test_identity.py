"""Tokens of a company's identity provider, in the shapes of Keycloak, Entra ID and Google."""

import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gql_server.errors import Unauthenticated, Unavailable
from gql_server.http.authentication import TokenAuthority, _read_header
from gql_server.http.claims import RoleRules, check_rules
from gql_server.http.identity import Identity, viewer_of
from gql_server.http.oidc import Company, IdentityProvider, Keys
from gql_server.policy import Role, Viewer, permissions_of
from tests.graphql import Client, endpoint

ISSUER = "https://login.example.org/realms/carbon"
OWN = TokenAuthority("a key that is long enough for HS256", "tests", "tests")
RULES: RoleRules = {"realm_access.roles": {"gql-operators": "operator", "gql-unit-*": "principal"}}
RSA = rsa.generate_private_key(65537, 2048)
MAKERS: dict[str, tuple[Callable[[], Any], Any]] = {
    "RS256": (lambda: RSA, RSAAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
}


def _at(now: int, value: Any) -> Any:
    return now + int(value.total_seconds()) if isinstance(value, timedelta) else value


class Provider:
    """An identity provider: its keys may rotate, and it may be away."""

    def __init__(self, issuer: str = ISSUER) -> None:
        self.issuer, self.jwks_uri = issuer, f"{issuer}/keys"
        self.keys: dict[str, tuple[str, Any]] = {}
        self.asked: list[str] = []
        self.is_away = False
        self.app = Starlette(
            routes=[
                Route("/realms/carbon/.well-known/openid-configuration", self._discovery),
                Route("/realms/carbon/keys", self._keys),
            ]
        )

    def rotate(self, kid: str, algorithm: str = "RS256") -> None:
        """Sign with a new key from now on; the others are no longer told of."""
        self.keys = {kid: (algorithm, MAKERS[algorithm][0]())}

    def token(self, kid: str | None = None, **claims: Any) -> str:
        kid = kid or next(iter(self.keys))
        algorithm, key = self.keys[kid]
        return jwt.encode(self.claims(**claims), key, algorithm, {"kid": kid})

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Claims of a token that is signed now; a timedelta is an instant so much later."""
        now = int(time.time())
        common = {"iss": self.issuer, "aud": "gql-server", "sub": "f:1:ada", "iat": now, "exp": now + 300}
        return {name: _at(now, value) for name, value in {**common, **claims}.items() if value is not None}

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app))

    async def _discovery(self, request: Request) -> Response:
        self.asked.append("discovery")
        return JSONResponse({"issuer": self.issuer, "jwks_uri": self.jwks_uri}, 503 if self.is_away else 200)

    async def _keys(self, request: Request) -> Response:
        self.asked.append("keys")
        found = [self._told(kid, algorithm, key) for kid, (algorithm, key) in self.keys.items()]
        return JSONResponse({"keys": found}, 503 if self.is_away else 200)

    def _told(self, kid: str, algorithm: str, key: Any) -> dict[str, Any]:
        return {**orjson.loads(MAKERS[algorithm][1].to_jwk(key.public_key())), "kid": kid, "use": "sig"}


class Door:
    """Lets in the viewers of tokens of this provider."""

    def __init__(self, provider: Provider, **options: Any) -> None:
        settings: dict[str, Any] = {
            "issuer": ISSUER,
            "audience": "gql-server",
            "rules": RULES,
            "directory": "ACCRED",
            **options,
        }
        self.keys = Keys(IdentityProvider(**settings), provider.client())
        self.identity = Identity(OWN, Company(self.keys))

    async def viewer(self, token: str) -> Viewer:
        return await viewer_of(self.identity.authenticate, f"Bearer {token}")


@pytest.fixture
def provider() -> Provider:
    provider = Provider()
    provider.rotate("first")
    return provider


Opens = Callable[..., Door]


@pytest.fixture
async def opens(provider: Provider) -> AsyncIterator[Opens]:
    doors: list[Door] = []

    def open_door(**options: Any) -> Door:
        doors.append(Door(provider, **options))
        return doors[-1]

    yield open_door
    for door in doors:
        await door.keys.close()


async def test_keycloak_tells_roles_of_the_realm(provider: Provider, opens: Opens):
    roles = {"roles": ["offline_access", "gql-operators", "gql-unit-10208"]}
    shape: dict[str, Any] = {"typ": "Bearer", "azp": "console", "aud": ["account", "gql-server"], "realm_access": roles}

    viewer = await opens().viewer(
        provider.token(**shape, name="Ada Lovelace", preferred_username="ada", email="ada@example.org", scope="openid")
    )

    assert (viewer.subject, viewer.display_name, viewer.email) == ("f:1:ada", "Ada Lovelace", "ada@example.org")
    assert viewer.provider == "ACCRED"
    assert viewer.permissions == permissions_of(Role.OPERATOR, None) | permissions_of(Role.PRINCIPAL, "10208")


async def test_entra_tells_roles_of_the_application(provider: Provider, opens: Opens):
    application = "11111111-2222-3333-4444-555555555555"
    shape: dict[str, Any] = {"ver": "2.0", "tid": "t", "oid": "o", "aud": application, "roles": ["Carbon.Admin"]}
    door = opens(audience=application, rules={"roles": {"Carbon.Admin": "superadmin"}})

    viewer = await door.viewer(provider.token(**shape, preferred_username="ada@example.org"))

    assert (viewer.email, viewer.display_name) == ("ada@example.org", "ada@example.org")
    assert viewer.permissions == permissions_of(Role.SUPERADMIN, None)


async def test_google_tells_an_address_and_a_domain(provider: Provider, opens: Opens):
    door = opens(rules={"email": {"ada@example.org": "operator"}, "hd": {"example.org": "standard"}})
    shape: dict[str, Any] = {"azp": "x.apps", "hd": "example.org", "email": "ada@example.org"}

    verified = await door.viewer(provider.token(**shape, email_verified=True))
    unverified = await door.viewer(provider.token(**shape, email_verified=False))

    assert verified.permissions == permissions_of(Role.OPERATOR, None)
    assert unverified.permissions == permissions_of(Role.STANDARD, None)


async def test_a_claim_may_be_named_by_an_address(provider: Provider, opens: Opens):
    door = opens(rules={"https://example.org/roles": {"unit/*": "principal"}})

    viewer = await door.viewer(provider.token(None, **{"https://example.org/roles": ["unit/10208", "unit/a b", "unit/"]}))

    assert viewer.permissions == permissions_of(Role.PRINCIPAL, "10208")


async def test_headers_that_are_alike_are_read_once(provider: Provider, opens: Opens, monkeypatch: pytest.MonkeyPatch):
    read: list[str] = []
    get_unverified_header = jwt.get_unverified_header

    def reading(token: str) -> dict[str, Any]:
        read.append(token.partition(".")[0])
        return get_unverified_header(token)

    provider.rotate("read-once")
    door, tokens = opens(), [provider.token(sub="ada"), provider.token(sub="grace"), OWN.mint("operator")]
    monkeypatch.setattr("jwt.get_unverified_header", reading)
    _read_header.cache_clear()

    for _ in range(3):
        assert [(await door.viewer(token)).subject for token in tokens] == ["ada", "grace", "operator"]

    assert read == [tokens[0].partition(".")[0], tokens[2].partition(".")[0]]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_each_algorithm_is_verified_with_a_key_of_its_own(provider: Provider, opens: Opens, algorithm: str):
    provider.rotate("key", algorithm)

    assert (await opens().viewer(provider.token())).subject == "f:1:ada"


async def test_our_own_tokens_are_accepted_beside_it(provider: Provider, opens: Opens):
    assert (await opens().viewer(OWN.mint("operator"))).subject == "operator"
    assert provider.asked == []


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": ["another", "account"]},
        {"iss": "https://login.example.org/realms/other"},
        {"exp": timedelta(seconds=-1)},
        {"exp": 10**18},
        {"iat": timedelta(minutes=10)},
        {"sub": None},
        {"sub": "a\0b"},
        {"sub": ""},
        {"iat": None},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"email": 7},
    ],
)
async def test_a_token_with_other_claims_is_refused(provider: Provider, opens: Opens, claims: dict[str, Any]):
    with pytest.raises(Unauthenticated):
        await opens().viewer(provider.token(**claims))


async def test_a_token_of_another_key_or_algorithm_is_refused(provider: Provider, opens: Opens):
    door, claims = opens(), provider.claims()
    public = provider._told("first", "RS256", RSA)["n"]
    other = ec.generate_private_key(ec.SECP256R1())
    forged = [
        jwt.encode(claims, other, "ES256", {"kid": "first"}),
        jwt.encode(claims, public, "HS256", {"kid": "first"}),
        jwt.encode(claims, "", "none", {"kid": "first"}),
        jwt.encode(claims, RSA, "RS512", {"kid": "first"}),
        jwt.encode(claims, RSA, "RS256", {"kid": "unknown"}),
        jwt.encode(claims, RSA, "RS256"),
        *(jwt.encode(claims, RSA, "RS256", {"kid": "first", name: ["exp"]}) for name in ("crit", "jku", "jwk", "x5u")),
        provider.token()[:-4],
        "nonsense",
        "",
    ]

    for token in forged:
        with pytest.raises(Unauthenticated):
            await door.viewer(token)


async def test_a_key_that_is_new_is_asked_for_at_once_and_one_that_is_gone_is_good_no_longer(
    provider: Provider, opens: Opens, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gql_server.http.oidc.ASKED_AGAIN_SECONDS", 0)
    door, old = opens(), provider.token()
    await door.viewer(old)
    provider.rotate("second", "ES256")

    assert (await door.viewer(provider.token())).subject == "f:1:ada"
    with pytest.raises(Unauthenticated):
        await door.viewer(old)


async def test_while_the_provider_is_away_what_is_known_stays_good(
    provider: Provider, opens: Opens, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gql_server.http.oidc.ASKED_AGAIN_SECONDS", 0)
    monkeypatch.setattr("gql_server.http.oidc.FRESH_SECONDS", 0)
    door, known = opens(), provider.token()
    await door.viewer(known)
    provider.is_away = True

    assert (await door.viewer(known)).subject == "f:1:ada"
    with pytest.raises(Unauthenticated):
        await door.viewer(jwt.encode(provider.claims(), RSA, "RS256", {"kid": "unknown"}))
    with pytest.raises(Unavailable):
        await opens().viewer(known)


async def test_made_up_keys_do_not_make_us_ask_all_the_time(provider: Provider, opens: Opens):
    door = opens()
    await door.viewer(provider.token())
    for number in range(50):
        with pytest.raises(Unauthenticated):
            await door.viewer(jwt.encode(provider.claims(), RSA, "RS256", {"kid": f"made up {number}"}))

    assert provider.asked == ["discovery", "keys"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("issuer", "https://evil.example.org"), ("jwks_uri", "http://login.example.org/realms/carbon/keys"), ("jwks_uri", 7)],
)
async def test_a_discovery_that_leads_elsewhere_is_not_followed(provider: Provider, opens: Opens, name: str, value: Any):
    token = provider.token()
    setattr(provider, name, value)

    with pytest.raises(Unavailable):
        await opens().viewer(token)


@pytest.mark.parametrize(
    "rules",
    [{"roles": {"x": "king"}}, {"roles": {"unit": "principal"}}, {"roles": {"*": "operator"}}, {"r": {"*-*": "principal"}}],
)
def test_rules_that_mean_nothing_are_refused(rules: RoleRules):
    with pytest.raises(ValueError, match="of r"):
        check_rules(rules)


async def test_requests_are_answered_as_the_viewer_of_the_token(provider: Provider, opens: Opens, engine: AsyncEngine):
    app = endpoint(engine)
    app.authenticate = opens().identity.authenticate
    client = Client(engine)
    client.transport = httpx.ASGITransport(app)
    client.headers = {"Authorization": f"Bearer {provider.token(name='Ada')}"}

    assert (await client.query("{ viewer { displayName } }"))["viewer"] == {"displayName": "Ada"}
    provider.is_away = True
    app.authenticate = opens().identity.authenticate
    answer = await client.post(json={"query": "{ __typename }"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
