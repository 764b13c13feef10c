"""Authorization code with PKCE: what this server asks of the identity provider for somebody at a browser."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
import structlog

from gql_server import base64url
from gql_server.errors import Unavailable
from gql_server.http.claims import Person, person_from
from gql_server.http.oidc import ANSWER_BYTES, FRESH_SECONDS, Invalid, Keys, safe

BROKEN = (httpx.HTTPError, ValueError, TypeError, KeyError, AttributeError)
PAUSE_SECONDS = 2.0
AWAY = "The identity provider cannot be reached: try again in a moment."

log = structlog.get_logger(__name__)


class NotGranted(Exception):
    """The provider says no, or something else than it should. The message is for the person."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Name under which the provider knows this server, and what it is asked for beyond that."""

    client_id: str
    client_secret: str | None = None
    scopes: str = "openid profile email"
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Grant:
    """Answer of the provider: who it is, for how long that may be believed, and what the provider is asked with later."""

    person: Person
    vouched_for: timedelta
    refresh_token: str | None
    id_token: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in, as it goes to the provider and is known again when it comes back."""

    redirect_uri: str
    state: str
    nonce: str
    verifier: str


class RelyingParty:
    """A client of the identity provider."""

    def __init__(self, keys: Keys, registration: Registration) -> None:
        self._keys, self._registration = keys, registration
        self._document: dict[str, Any] = {}
        self._read_at = self._failed_at = float("-inf")

    @property
    def issuer(self) -> str:
        return self._keys.provider.issuer

    async def authorization_url(self, attempt: Attempt) -> str:
        """Address where the browser signs in. Raises Unavailable."""
        asked = {
            "response_type": "code",
            "client_id": self._registration.client_id,
            "redirect_uri": attempt.redirect_uri,
            "scope": self._registration.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64url.encode(hashlib.sha256(attempt.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        return _with(await self._endpoint("authorization_endpoint"), {**self._registration.parameters, **asked})

    async def redeem(self, code: str, attempt: Attempt) -> Grant:
        """Redeem a code. Raises NotGranted or Unavailable."""
        asked = {"grant_type": "authorization_code", "code": code, "redirect_uri": attempt.redirect_uri}
        answer = await self._ask("token_endpoint", {**asked, "code_verifier": attempt.verifier})
        if not isinstance(answer.get("id_token"), str):
            raise NotGranted("The identity provider does not say who you are: is `openid` among GQL_OIDC_SCOPES?")
        return await self._grant(answer, attempt.nonce)

    async def refresh(self, refresh_token: str, person: Person, id_token: str | None) -> Grant:
        """Ask for another grant of the same person. Raises NotGranted or Unavailable."""
        answer = await self._ask("token_endpoint", {"grant_type": "refresh_token", "refresh_token": refresh_token})
        kept = {"refresh_token": refresh_token, **answer}
        if not isinstance(answer.get("id_token"), str):
            claims = await self._claims_of_access(answer)
            now = person if claims is None else person_from(claims, self._keys.provider.rules)
            grant = Grant(now, _vouched_for(answer, claims or {}), kept["refresh_token"], id_token)
        else:
            grant = await self._grant(kept, None)
        if grant.person.subject != person.subject:
            raise NotGranted("The identity provider speaks of somebody else.")
        return grant

    async def revoke(self, refresh_token: str) -> None:
        """Tell the provider that the token is not needed any more, if it wants to know."""
        try:
            if "revocation_endpoint" in await self._discovered():
                await self._post("revocation_endpoint", {"token": refresh_token, "token_type_hint": "refresh_token"})
        except (Unavailable, *BROKEN) as error:
            log.warning("session.not_revoked", error=repr(error))

    async def sign_out_url(self, id_token: str | None, back: str) -> str:
        """Address where the browser signs out of the provider too; `back`, if it offers no such place or cannot be asked."""
        asked = {"client_id": self._registration.client_id, "post_logout_redirect_uri": back}
        try:
            if "end_session_endpoint" not in await self._discovered():
                return back
            hint = {"id_token_hint": id_token} if id_token else {}
            return _with(await self._endpoint("end_session_endpoint"), {**asked, **hint})
        except Unavailable:
            return back

    async def check_issuer(self, parameters: Mapping[str, str]) -> None:
        """Raises NotGranted for an answer of another provider (RFC 9207)."""
        told = (await self._discovered()).get("authorization_response_iss_parameter_supported") is True
        if parameters.get("iss", None if told else self.issuer) != self.issuer:
            raise NotGranted("This answer is of another identity provider.")

    async def _grant(self, answer: Mapping[str, Any], nonce: str | None) -> Grant:
        """The grant of an answer with an ID token. An access token for this server tells the roles, else the ID token does."""
        identity = await self._identity(answer["id_token"], nonce)
        access = await self._claims_of_access(answer)
        claims = identity if access is None or access["sub"] != identity["sub"] else access
        try:
            person = person_from(claims, self._keys.provider.rules)
        except ValueError:
            raise NotGranted("The identity provider describes you in a way that is not understood.") from None
        refresh_token = answer.get("refresh_token")
        return Grant(
            person,
            _vouched_for(answer, identity),
            refresh_token if isinstance(refresh_token, str) else None,
            answer["id_token"],
        )

    async def _identity(self, token: str, nonce: str | None) -> dict[str, Any]:
        """The claims of an ID token of this attempt."""
        client_id = self._registration.client_id
        try:
            claims = await self._keys.claims(token, client_id)
        except Invalid as error:
            log.warning("sign_in.refused", error=str(error))
            raise NotGranted("The identity provider's ID token is not good.") from None
        is_ours = claims.get("azp", client_id) == client_id
        if not is_ours or (nonce is not None and not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode())):
            raise NotGranted("The identity provider's ID token is not for this sign-in.")
        return claims

    async def _claims_of_access(self, answer: Mapping[str, Any]) -> dict[str, Any] | None:
        """The claims of the access token, if it is one that this server would accept; many are not for anyone to read."""
        try:
            return await self._keys.claims(str(answer["access_token"]), self._keys.provider.audience)
        except Invalid:
            return None

    async def _ask(self, endpoint: str, body: Mapping[str, str]) -> dict[str, Any]:
        """The answer to a request that the provider may refuse. Raises NotGranted or Unavailable."""
        try:
            response = await self._post(endpoint, body)
            if response.status_code >= 500 or response.status_code == 429:
                response.raise_for_status()
            answer = cast(object, response.json())
        except BROKEN as error:
            log.warning("provider.unavailable", issuer=self.issuer, error=repr(error))
            raise Unavailable(AWAY) from None
        if not isinstance(answer, dict) or response.is_error or not isinstance(answer.get("access_token"), str):
            log.warning("provider.refused", issuer=self.issuer, status=response.status_code, error=_reason(answer))
            raise NotGranted("The identity provider has refused: sign in again.")
        return cast(dict[str, Any], answer)

    async def _post(self, endpoint: str, body: Mapping[str, str]) -> httpx.Response:
        """Answer to a form that says who sends it, in the way that the provider wants (RFC 6749, 2.3.1)."""
        url, document = await self._endpoint(endpoint), await self._discovered()
        client_id, secret = self._registration.client_id, self._registration.client_secret
        auth: tuple[str, str] | None = None
        if secret is None:
            body = {**body, "client_id": client_id}
        elif "client_secret_basic" in document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
            auth = quote_plus(client_id), quote_plus(secret)
        else:
            body = {**body, "client_id": client_id, "client_secret": secret}
        response = await self._keys.client.post(url, data=body, auth=auth or httpx.USE_CLIENT_DEFAULT)
        if len(response.content) > ANSWER_BYTES:
            raise ValueError("an answer that is too large")
        return response

    async def _endpoint(self, name: str) -> str:
        """Address of one of the provider's endpoints. Raises Unavailable."""
        try:
            return safe((await self._discovered())[name])
        except (KeyError, ValueError) as error:
            log.error("provider.unusable", issuer=self.issuer, endpoint=name, error=repr(error))
            raise Unavailable("The identity provider offers no sign-in that is understood.") from None

    async def _discovered(self) -> dict[str, Any]:
        """Description of itself that the provider gives, or while it is away, has given. Raises Unavailable."""
        now = time.monotonic()
        if now - self._read_at > FRESH_SECONDS and now - self._failed_at > PAUSE_SECONDS:
            try:
                self._document, self._read_at = await self._keys.discover(), time.monotonic()
            except BROKEN as error:
                self._failed_at = time.monotonic()
                log.warning("provider.unavailable", issuer=self.issuer, error=repr(error))
        if not self._document:
            raise Unavailable(AWAY)
        return self._document


def _vouched_for(answer: Mapping[str, Any], identity: Mapping[str, Any]) -> timedelta:
    """As long as the access token is good; of one that does not say, as long as the ID token is."""
    seconds = answer.get("expires_in", identity.get("exp", 0) - time.time())
    return timedelta(seconds=max(0, min(float(seconds), 10**7)))


def _with(url: str, parameters: Mapping[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(parameters)}"


def _reason(answer: object) -> str:
    error = cast(dict[str, object], answer).get("error") if isinstance(answer, dict) else answer
    return str(error)[:200]
