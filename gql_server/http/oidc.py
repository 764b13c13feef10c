"""Tokens of the company's identity provider: RS256, ES256 or EdDSA, with the keys that OIDC discovery leads to."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import jwt
import structlog

from gql_server.errors import Unavailable
from gql_server.http.authentication import LEEWAY, REFUSED_HEADERS, REQUIRED_CLAIMS, TOKENS_KEPT, header_of, refused, unexpired
from gql_server.http.claims import RoleRules, viewer_from
from gql_server.policy import Viewer

ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
DISCOVERY = "/.well-known/openid-configuration"
FRESH_SECONDS, ASKED_AGAIN_SECONDS, ANSWER_SECONDS = 600.0, 10.0, 5.0
ANSWER_BYTES = 512 * 1024
LOOPBACK = ("127.0.0.1", "::1", "localhost")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """Identity provider: its issuer, whom its tokens must be for, where its keys are unless discovery tells, and what the
    claims of its tokens say of roles."""

    issuer: str
    audience: str
    rules: RoleRules
    directory: str
    keys_url: str | None = None
    leeway: timedelta = LEEWAY


class Invalid(Exception):
    """A token that is not good, and why, which is nothing for a client."""


class Company:
    """The viewers of an identity provider's tokens."""

    def __init__(self, keys: "Keys") -> None:
        self._provider, self._keys = keys.provider, keys
        self._known: OrderedDict[str, tuple[jwt.PyJWK, Viewer]] = OrderedDict()

    async def authenticate(self, token: str) -> Viewer:
        """The viewer of a token. Raises Unauthenticated, or Unavailable before any keys are known."""
        try:
            header = header_of(token)
            key = await self._keys.key(header.get("kid"), header["alg"])
            viewer = self._verified(token, key)
        except (jwt.PyJWTError, ValueError, OverflowError, OSError, LookupError):
            raise refused() from None
        return unexpired(viewer)

    def _verified(self, token: str, key: jwt.PyJWK) -> Viewer:
        """The viewer of a token, whose signature is verified once for a key."""
        known = self._known.get(token)
        if known is None or known[0] is not key:
            known = self._known[token] = (
                key,
                viewer_from(self._claims(token, key), self._provider.rules, self._provider.directory),
            )
            if len(self._known) > TOKENS_KEPT:
                self._known.popitem(last=False)
        return known[1]

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        return _decoded(token, key, self._provider, self._provider.audience)


class Keys:
    """The keys of an identity provider: fetched when first needed, again when they are old, or when a token names one that is
    not among them. While it cannot be reached, those that are known stay good."""

    def __init__(self, provider: IdentityProvider, client: httpx.AsyncClient | None = None) -> None:
        self.provider = provider
        self.client = client or httpx.AsyncClient(timeout=ANSWER_SECONDS)
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def key(self, kid: object, algorithm: object, *, at_once: bool = False) -> jwt.PyJWK:
        """The key of that id, fetched `at_once` if it is not known, where nobody can make us ask. Raises LookupError, or
        Unavailable before any keys are known."""
        if kid is not None and not isinstance(kid, str):
            raise LookupError
        now = time.monotonic()
        if kid not in self._keys and (at_once or now - self._asked_at > ASKED_AGAIN_SECONDS):
            await asyncio.shield(self._refresh())
        elif kid not in self._keys and self._asking:
            await asyncio.shield(self._asking)
        elif now - max(self._fetched_at, self._asked_at) > FRESH_SECONDS:
            self._refresh()  # whoever asks now need not wait for it
        if not self._keys:
            raise Unavailable("The identity provider cannot be reached: try again in a moment.")
        key = self._keys[kid]
        if key.algorithm_name != algorithm:
            raise LookupError
        return key

    async def claims(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a token that the provider itself has given us. Raises Invalid, or Unavailable before keys are known."""
        try:
            header = header_of(token)
            if any(name in REFUSED_HEADERS for name in header):
                raise LookupError
            key = await self.key(header.get("kid"), header["alg"], at_once=True)
            return _decoded(token, key, self.provider, audience)
        except (jwt.PyJWTError, ValueError, OverflowError, OSError, LookupError) as error:
            raise Invalid(repr(error)) from None

    async def close(self) -> None:
        """Ask no more."""
        if self._asking:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self.client.aclose()

    def _refresh(self) -> "asyncio.Task[None]":
        if self._asking is None:
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._fetch())
            self._asking.add_done_callback(self._asked)
        return self._asking

    def _asked(self, _: object) -> None:
        self._asking = None

    async def _fetch(self) -> None:
        try:
            url = self.provider.keys_url or await self._keys_url()
            found = _usable((await self._get(url)).get("keys"))
            if not found:
                raise ValueError("no key that can be used")
        except (httpx.HTTPError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("keys.unavailable", issuer=self.provider.issuer, error=repr(error), known=len(self._keys))
            return
        self._fetched_at = time.monotonic()
        # a key that is as it was stays the same object, with the tokens that were verified by it
        known = self._keys
        self._keys = {kid: known[kid] if kid in known and _same(known[kid], key) else key for kid, key in found.items()}

    async def _keys_url(self) -> str:
        return safe((await self.discover())["jwks_uri"])

    async def discover(self) -> dict[str, Any]:
        """Description that the provider gives of itself. Raises ValueError for another one's, httpx.HTTPError if it is away."""
        document = await self._get(self.provider.issuer.rstrip("/") + DISCOVERY)
        if document["issuer"] != self.provider.issuer:
            raise ValueError(f"the discovery document is of {document['issuer']!r}")
        return document

    async def _get(self, url: str) -> dict[str, Any]:
        response = await self.client.get(url)
        response.raise_for_status()
        if len(response.content) > ANSWER_BYTES:
            raise ValueError("an answer that is too large")
        return response.json()


def safe(url: object) -> str:
    """The address, if nobody between can change what it answers. Raises ValueError."""
    parts = urlsplit(str(url))
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise ValueError(f"{url} is not https")
    return str(url)


def _decoded(token: str, key: jwt.PyJWK, provider: IdentityProvider, audience: str) -> dict[str, Any]:
    return jwt.decode(
        token,
        key,
        algorithms=[key.algorithm_name],
        audience=audience,
        issuer=provider.issuer,
        leeway=provider.leeway,
        options={"require": REQUIRED_CLAIMS},
    )


def _usable(keys: object) -> dict[str | None, jwt.PyJWK]:
    """The keys for signatures, by id: those of algorithms that are not accepted are left out."""
    found: dict[str | None, jwt.PyJWK] = {}
    for each in cast(Sequence[Mapping[str, Any]], keys if isinstance(keys, list) else []):
        try:
            key = jwt.PyJWK(dict(each))
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        if key.algorithm_name in ALGORITHMS and each.get("use", "sig") == "sig":
            found[key.key_id] = key
    return found


def _same(one: jwt.PyJWK, other: jwt.PyJWK) -> bool:
    return one._jwk_data == other._jwk_data  # pyright: ignore[reportPrivateUsage]
