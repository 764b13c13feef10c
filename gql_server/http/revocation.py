"""Ends what is open in the name of a credential, as soon as that is good no more."""

from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager

import asyncpg
import structlog

from gql_server.credentials import digest
from gql_server.credentials.revocation import CHANNEL, Cause, Notice, ended
from gql_server.http.authentication import bearer
from gql_server.http.services import is_of_service
from gql_server.http.sessions import SessionSecret

CHECK_SECONDS = 1.0

End = Callable[[Cause], None]
Forget = Callable[[bytes | None], None]

log = structlog.get_logger(__name__)


def key_of(credentials: str | None) -> bytes | None:
    """Key of credentials that can be taken back; None for those that are good until they expire."""
    if isinstance(credentials, SessionSecret):
        return credentials.id
    token = bearer(credentials)
    return digest(token) if token and is_of_service(token) else None


class Revocations:
    """The open sockets and streams by the key of their credentials, and the caches of what was read of these."""

    channel = CHANNEL

    def __init__(self, *believers: Forget) -> None:
        self._believers = believers
        self._open: defaultdict[bytes, set[End]] = defaultdict(set)

    @contextmanager
    def held(self, credentials: str | None, end: End) -> Generator[None]:
        """Call `end` if the credentials end meanwhile. Look at them afterwards, and nothing is missed."""
        key = key_of(credentials)
        if key is None:
            yield
            return
        self._open[key].add(end)
        try:
            yield
        finally:
            self._open[key].discard(end)
            if not self._open[key]:
                del self._open[key]

    def heard(self, payload: str) -> None:
        """Take note of a notification."""
        try:
            notice = Notice.parse(payload)
        except ValueError:
            log.warning("credential.notice_not_understood", length=len(payload))
            return
        self._end(notice)

    async def check(self, connection: asyncpg.Connection) -> None:
        """Find what ended without a word, as while nobody listened."""
        for key in await ended(connection, tuple(self._open), CHECK_SECONDS) if self._open else ():
            self._end(Notice(Cause.ENDED, key))

    def _end(self, notice: Notice) -> None:
        for forget in self._believers:
            forget(notice.key)
        keys = tuple(self._open) if notice.key is None else (notice.key,)
        ends = [end for key in keys for end in self._open.pop(key, ())]
        for end in ends:
            end(notice.cause)
        if ends:
            log.info("credential.ended", cause=notice.cause.value, closed=len(ends))
