"""Open sockets of a process: how many there may be, and how they are let go when it stops."""

import asyncio
from collections import Counter
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from gql_server.policy import Viewer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Sockets at a time."""

    per_process: int = 4_096
    per_address: int = 1_000
    per_viewer: int = 250


class Socket(Protocol):
    """A socket that can be let go."""

    async def drain(self) -> None: ...


class Sockets:
    """The open sockets. A refusal is logged, with the setting that would allow more."""

    def __init__(self, limits: SocketLimits = SocketLimits()) -> None:
        self._limits = limits
        self._open: set[Socket] = set()
        self._addresses: Counter[str] = Counter()
        self._viewers: Counter[tuple[str, str]] = Counter()

    def admits(self, address: str) -> bool:
        """True if another socket of this address may open."""
        return self._is_below(self._addresses.total(), self._limits.per_process, "GQL_SOCKETS_MAX", address) and self._is_below(
            self._addresses[address], self._limits.per_address, "GQL_SOCKETS_PER_ADDRESS_MAX", address
        )

    def admits_viewer(self, viewer: Viewer) -> bool:
        """True if another socket of this viewer may be acknowledged."""
        count = self._viewers[viewer.provider, viewer.subject]
        return self._is_below(count, self._limits.per_viewer, "GQL_SOCKETS_PER_VIEWER_MAX", viewer.subject)

    @contextmanager
    def opened(self, socket: Socket, address: str) -> Generator[None]:
        """Count the socket as open meanwhile."""
        self._open.add(socket)
        try:
            with _counted(self._addresses, address):
                yield
        finally:
            self._open.discard(socket)

    @contextmanager
    def held(self, viewer: Viewer) -> Generator[None]:
        """Count a socket as the viewer's meanwhile."""
        with _counted(self._viewers, (viewer.provider, viewer.subject)):
            yield

    @property
    def count(self) -> int:
        """Number of open sockets."""
        return len(self._open)

    async def drain(self) -> None:
        """Let all clients go, at the same time."""
        await asyncio.gather(*[socket.drain() for socket in tuple(self._open)])

    def _is_below(self, count: int, limit: int, setting: str, whose: str) -> bool:
        if count < limit:
            return True
        advice = f"a socket was turned away, as {limit} are open: {setting} allows more"
        log.warning("socket.refused", whose=whose, advice=advice)
        return False


@contextmanager
def _counted(counts: "Counter[Any]", key: Hashable) -> Generator[None]:
    counts[key] += 1
    try:
        yield
    finally:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
