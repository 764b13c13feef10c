"""Viewers by the tokens of services, such as scrapers and CI."""

from datetime import UTC, datetime, timedelta

from gql_server.credentials import PREFIX, Service, ServiceTokens, digest
from gql_server.http.authentication import refused
from gql_server.http.believed import Believed
from gql_server.http.sessions import reached
from gql_server.policy import Viewer, narrowed, permissions_of

VOUCHED_FOR = timedelta(minutes=10)
"""Time after which a socket is closed, to be opened again: other scopes, of which nobody was told, are known by then."""


def is_of_service(token: str) -> bool:
    """True for a service token."""
    return token.startswith(PREFIX)


class Services:
    """The viewers of service tokens."""

    def __init__(self, kept: ServiceTokens) -> None:
        self._kept = kept
        self.believed = Believed[Service]()

    async def viewer(self, token: str) -> Viewer:
        """The service that a token is of. Raises Unauthenticated, or Unavailable while nobody can tell."""
        service = await self._read(token)
        permissions = narrowed(permissions_of(service.role, service.unit), service.scopes)
        until = min(service.expires_at, datetime.now(UTC) + VOUCHED_FOR)
        return Viewer(f"service:{service.name}", service.provider, permissions, service.name, None, until)

    async def _read(self, token: str) -> Service:
        key = digest(token)
        service = self.believed.get(key) or await self._find(key, token)
        if service.expires_at <= datetime.now(UTC):
            raise refused()
        return service

    async def _find(self, key: bytes, token: str) -> Service:
        notices = self.believed.notices
        service = await reached(self._kept.find(token))
        if service is None:
            self.believed.forget(key)
            raise refused()
        self.believed.keep(key, service, notices)
        return service
