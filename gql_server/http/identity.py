"""Callers by their bearer tokens."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable

from gql_server.policy import Viewer

Authenticate = Callable[[str | None], Viewer | Awaitable[Viewer]]
"""The viewer of an Authorization header, at once or once somebody else was asked. Raises Unauthenticated."""


async def viewer_of(authenticate: Authenticate, authorization: str | None) -> Viewer:
    """The viewer of an Authorization header. Raises Unauthenticated, or Unavailable while nobody can tell."""
    viewer = authenticate(authorization)
    return await viewer if isawaitable(viewer) else viewer
