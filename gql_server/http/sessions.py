"""Viewers by the session of their browser, which is renewed at the identity provider before it ends."""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import orjson
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gql_server.credentials import Session, Sessions
from gql_server.db.outages import is_outage
from gql_server.errors import Unavailable
from gql_server.http.authentication import refused, unexpired
from gql_server.http.believed import Believed
from gql_server.http.claims import Person
from gql_server.http.masking import UNAVAILABLE
from gql_server.http.relying_party import Grant, NotGranted, RelyingParty
from gql_server.policy import Viewer

RENEWED_BEFORE = timedelta(seconds=60)
RENEWED_SHARE = 4
RENEWAL = timedelta(seconds=15)
RENEWED_AGAIN_SECONDS = 10.0
NONCE_BYTES = 12

T = TypeVar("T")

log = structlog.get_logger(__name__)


class SessionSecret(str):
    """Content of the cookie of a session: it leads to the session, and opens what is sealed in it. Credentials that are no
    text of a header."""

    __slots__ = ()

    @classmethod
    def new(cls) -> "SessionSecret":
        return cls(secrets.token_urlsafe(32))

    @property
    def id(self) -> bytes:
        return self._derived(b"id")

    def seal(self, content: dict[str, Any]) -> bytes:
        """The content, for nobody else to read or change."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self._derived(b"seal")).encrypt(nonce, orjson.dumps(content), self.id)

    def open(self, sealed: bytes) -> dict[str, Any]:
        """The content. Raises InvalidTag."""
        return orjson.loads(AESGCM(self._derived(b"seal")).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self.id))

    def _derived(self, use: bytes) -> bytes:
        return hmac.digest(self.encode(), use, hashlib.sha256)


@dataclass(slots=True)
class _Known:
    """A session as it was read, and when the provider may be asked again about it."""

    session: Session
    asked_again_at: float = 0.0


class BrowserSessions:
    """The sessions of those who have signed in: opened, told, renewed and closed."""

    def __init__(self, kept: Sessions, party: RelyingParty, *, directory: str, lifetime: timedelta) -> None:
        self._kept, self._party, self._directory, self._lifetime = kept, party, directory, lifetime
        self.believed = Believed[_Known]()
        self._renewing: dict[bytes, asyncio.Task[Session]] = {}

    @property
    def lifetime(self) -> timedelta:
        return self._lifetime

    async def open(self, grant: Grant) -> SessionSecret:
        """Begin a session. Raises Unavailable."""
        secret = SessionSecret.new()
        kept = self._kept.add(secret.id, grant.person.as_json(), _sealed(secret, grant), grant.vouched_for, self._lifetime)
        await reached(kept)
        return secret

    async def viewer(self, secret: SessionSecret) -> Viewer:
        """The person who has signed in. Raises Unauthenticated, or Unavailable while nobody can tell."""
        known = await self._read(secret)
        session = known.session
        if _is_due(session) and time.monotonic() >= known.asked_again_at:
            session = await self._renewed(secret, known)
        return unexpired(Person.of(session.person).as_viewer(self._directory, session.vouched_until))

    async def close(self, secret: SessionSecret, back: str) -> str:
        """End a session here and at the provider; the address where the browser ends it there. Raises Unavailable."""
        session = await self.forget(secret)
        content = {} if session is None else _opened(secret, session)
        if refresh_token := content.get("refresh_token"):
            await self._party.revoke(refresh_token)
        return back if session is None else await self._party.sign_out_url(content.get("id_token"), back)

    async def forget(self, secret: SessionSecret) -> Session | None:
        """End a session here; what it was. Raises Unavailable."""
        self.believed.forget(secret.id)
        return await reached(self._kept.remove(secret.id))

    async def _read(self, secret: SessionSecret) -> _Known:
        if known := self.believed.get(secret.id):
            return known
        before, notices = self.believed.last(secret.id), self.believed.notices
        session = await reached(self._kept.find(secret.id))
        if session is None:
            self.believed.forget(secret.id)
            raise refused()
        return self._know(secret.id, session, notices, before.asked_again_at if before else 0.0)

    def _know(self, id: bytes, session: Session, notices: int, asked_again_at: float = 0.0) -> _Known:
        """Believe a session, of which none of so many notices told that it had ended before it was read."""
        known = _Known(session, asked_again_at)
        self.believed.keep(id, known, notices)
        return known

    async def _renewed(self, secret: SessionSecret, known: _Known) -> Session:
        """The session, renewed once for all who wait for it."""
        task = self._renewing.get(secret.id)
        if task is None:
            task = self._renewing[secret.id] = asyncio.create_task(self._renew(secret, known))
            task.add_done_callback(lambda done: self._renewed_last(secret.id, done))
        return await asyncio.shield(task)

    def _renewed_last(self, id: bytes, task: "asyncio.Task[Session]") -> None:
        del self._renewing[id]
        if not task.cancelled():
            task.exception()  # whoever waited has been told

    async def _renew(self, secret: SessionSecret, known: _Known) -> Session:
        session, content = known.session, _opened(secret, known.session)
        if not content.get("refresh_token"):
            return session
        if not await reached(self._kept.claim_renewal(secret.id, session, RENEWAL)):
            return await self._renewed_elsewhere(secret, session)
        try:
            person = Person.of(session.person)
            grant = await self._party.refresh(content["refresh_token"], person, content.get("id_token"))
        except NotGranted:
            await self.forget(secret)
            raise refused() from None
        except Unavailable:
            known.asked_again_at = time.monotonic() + RENEWED_AGAIN_SECONDS
            await reached(self._kept.give_up_renewal(secret.id))
            if session.vouched_until > datetime.now(UTC):
                return session
            raise
        notices = self.believed.notices
        renewed = await reached(self._kept.renew(secret.id, grant.person.as_json(), _sealed(secret, grant), grant.vouched_for))
        if renewed is None:
            raise refused()
        return self._know(secret.id, renewed, notices).session

    async def _renewed_elsewhere(self, secret: SessionSecret, before: Session) -> Session:
        """The session once another process has renewed it; as it was, if that is still good. Raises PublicError."""
        if before.vouched_until > datetime.now(UTC) + RENEWAL:
            return before
        until = time.monotonic() + RENEWAL.total_seconds()
        while time.monotonic() < until:
            notices = self.believed.notices
            session = await reached(self._kept.find(secret.id))
            if session is None:
                raise refused()
            if session.vouched_at != before.vouched_at:
                return self._know(secret.id, session, notices).session
            await asyncio.sleep(0.1)
        raise Unavailable("Your session is being renewed: try again in a moment.")


def _is_due(session: Session) -> bool:
    """True in the last minute, or the last quarter, of the time for which the provider vouches; not where the session ends."""
    length = session.vouched_until - session.vouched_at
    left = session.vouched_until - datetime.now(UTC)
    return left < min(RENEWED_BEFORE, length / RENEWED_SHARE) and session.vouched_until < session.expires_at


def _sealed(secret: SessionSecret, grant: Grant) -> bytes:
    return secret.seal({"refresh_token": grant.refresh_token, "id_token": grant.id_token})


def _opened(secret: SessionSecret, session: Session) -> dict[str, Any]:
    try:
        return secret.open(session.sealed)
    except InvalidTag:
        raise refused() from None


async def reached(asking: Awaitable[T]) -> T:
    """Answer of the database. Raises Unavailable."""
    try:
        return await asking
    except Exception as error:
        if not is_outage(error):
            raise
        log.warning("request.unavailable", error=repr(error))
        raise Unavailable(UNAVAILABLE) from None
