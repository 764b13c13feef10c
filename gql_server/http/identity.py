"""Callers by their bearer tokens: those that this product signs, and those of the company's identity provider."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

import jwt

from gql_server.http.authentication import ALGORITHM, REFUSED_HEADERS, TokenAuthority, bearer, refused
from gql_server.http.oidc import Company
from gql_server.policy import Viewer

Authenticate = Callable[[str | None], Viewer | Awaitable[Viewer]]
"""The viewer of an Authorization header, at once or once the identity provider was asked. Raises Unauthenticated."""


async def viewer_of(authenticate: Authenticate, authorization: str | None) -> Viewer:
    """The viewer of an Authorization header. Raises Unauthenticated, or Unavailable while nobody can tell."""
    viewer = authenticate(authorization)
    return await viewer if isawaitable(viewer) else viewer


class Identity:
    """Tells tokens apart by the algorithm that they are signed with, which each key has one of."""

    def __init__(self, own: TokenAuthority, company: Company | None) -> None:
        self._own, self._company = own, company

    def authenticate(self, authorization: str | None) -> Viewer | Awaitable[Viewer]:
        """The viewer of an Authorization header. Raises Unauthenticated, which never says what was wrong."""
        if self._company is None or _header(authorization).get("alg") == ALGORITHM:
            return self._own.authenticate(authorization)
        return self._company.authenticate(bearer(authorization) or "")


def _header(authorization: str | None) -> dict[str, Any]:
    try:
        header = jwt.get_unverified_header(bearer(authorization) or "")
    except jwt.PyJWTError:
        raise refused() from None
    if any(name in REFUSED_HEADERS for name in header):
        raise refused()
    return header
