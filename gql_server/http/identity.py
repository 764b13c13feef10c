"""Callers by their credentials: tokens that this product signs, those of the company's identity provider and of services, and
sessions of browsers."""

from collections.abc import Awaitable, Callable

import jwt

from gql_server.http.authentication import ALGORITHM, REFUSED_HEADERS, TokenAuthority, bearer, header_of, refused
from gql_server.http.oidc import Company
from gql_server.http.services import Services, is_of_service
from gql_server.http.sessions import BrowserSessions, SessionSecret
from gql_server.policy import Viewer

Authenticate = Callable[[str | None], Viewer | Awaitable[Viewer]]
"""The viewer of credentials, a header or a session, at once or once somebody was asked. Raises Unauthenticated."""


async def viewer_of(authenticate: Authenticate, credentials: str | None) -> Viewer:
    """The viewer of credentials. Raises Unauthenticated, or Unavailable while nobody can tell."""
    viewer = authenticate(credentials)
    return viewer if isinstance(viewer, Viewer) else await viewer


class Identity:
    """Tells tokens apart by the algorithm that they are signed with, which each key has one of."""

    def __init__(
        self,
        own: TokenAuthority,
        company: Company | None,
        sessions: BrowserSessions | None = None,
        services: Services | None = None,
    ) -> None:
        self._own, self._company, self._sessions, self._services = own, company, sessions, services

    def authenticate(self, authorization: str | None) -> Viewer | Awaitable[Viewer]:
        """The viewer of credentials. Raises Unauthenticated, which never says what was wrong."""
        if self._sessions is not None and isinstance(authorization, SessionSecret):
            return self._sessions.viewer(authorization)
        token = bearer(authorization)
        if token is not None and self._services is not None and is_of_service(token):
            return self._services.viewer(token)
        if token is None or self._company is None:
            return self._own.viewer(token)
        try:
            header = header_of(token)
        except jwt.PyJWTError:
            raise refused() from None
        if not header.keys().isdisjoint(REFUSED_HEADERS):
            raise refused()
        return self._own.viewer(token) if header.get("alg") == ALGORITHM else self._company.authenticate(token)
