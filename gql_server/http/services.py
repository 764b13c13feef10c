"""Viewers by the tokens of services, such as scrapers and CI."""

import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

from gql_server.credentials import PREFIX, Service, ServiceTokens, digest
from gql_server.http.authentication import TOKENS_KEPT, bearer, refused
from gql_server.http.sessions import KNOWN_SECONDS, reached
from gql_server.policy import Viewer, narrowed, permissions_of

VOUCHED_FOR = timedelta(minutes=10)
"""Time after which a socket is closed, to be opened again: other scopes, of which nobody was told, are known by then."""


def is_of_service(authorization: str | None) -> bool:
    """True for a header with a service token."""
    return (bearer(authorization) or "").startswith(PREFIX)


class Services:
    """The viewers of service tokens."""

    def __init__(self, kept: ServiceTokens) -> None:
        self._kept = kept
        self._known: OrderedDict[bytes, tuple[float, Service]] = OrderedDict()
        self._notices = 0

    async def viewer(self, authorization: str) -> Viewer:
        """The service that a token is of. Raises Unauthenticated, or Unavailable while nobody can tell."""
        service = await self._read(bearer(authorization) or "")
        permissions = narrowed(permissions_of(service.role, service.unit), service.scopes)
        until = min(service.expires_at, datetime.now(UTC) + VOUCHED_FOR)
        return Viewer(f"service:{service.name}", service.provider, permissions, service.name, None, until)

    def disbelieve(self, key: bytes | None) -> None:
        """Read a token anew, or all for None, when it is asked for next."""
        self._notices += 1
        if key is None:
            self._known.clear()
        else:
            self._known.pop(key, None)

    async def _read(self, token: str) -> Service:
        key = digest(token)
        read_at, service = self._known.get(key, (0.0, None))
        if service is None or time.monotonic() - read_at > KNOWN_SECONDS:
            service = await self._find(key, token)
        if service.expires_at <= datetime.now(UTC):
            raise refused()
        return service

    async def _find(self, key: bytes, token: str) -> Service:
        """Read a token, and believe it unless a notice came meanwhile."""
        self._known.pop(key, None)
        notices = self._notices
        service = await reached(self._kept.find(token))
        if service is None:
            raise refused()
        if notices == self._notices:
            self._known[key] = (time.monotonic(), service)
        if len(self._known) > TOKENS_KEPT:
            self._known.popitem(last=False)
        return service
