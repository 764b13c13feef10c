"""A TCP proxy that stands between one process and PostgreSQL, and breaks what it is told to break."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from enum import Enum, auto
from typing import Self

RESET = struct.pack("ii", 1, 0)
CHUNK = 65_536


class Loss(Enum):
    """Part of a COMMIT and its reply that is lost."""

    REQUEST = auto()
    REPLY = auto()
    SILENCE = auto()
    """The reply, and with it every sign that the connection is dead."""


class FaultProxy:
    """Forwards to `port` of the loopback until it is told otherwise. Use as an async context manager."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._refusing = False
        self._clients: set[asyncio.StreamWriter] = set()
        self._misquoted: tuple[bytes, bytes] | None = None
        self._links: set[Link] = set()
        self.doomed: tuple[bytes, Loss] | None = None
        self.struck = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.refuse()
        while self._clients:
            await asyncio.sleep(0.01)

    def refuse(self) -> None:
        """Reset every connection, and each new one."""
        self._refusing = True
        for client in self._clients:
            reset(client)

    def restore(self) -> None:
        self._refusing = False

    def lose_commit(self, marker: bytes, loss: Loss) -> None:
        """Strike the next COMMIT on the connection over which `marker` is sent; once."""
        self.doomed = (marker, loss)

    def silence(self, marker: bytes) -> None:
        """Let nothing more through, either way, on the connections over which that was sent."""
        for link in self._links:
            link.is_silent |= any(marker in said for said in link.said)

    def misquote(self, said: bytes, heard: bytes) -> None:
        """Let the database hear something else of the same length."""
        self._misquoted = (said, heard)

    def quoted(self, data: bytes) -> bytes:
        return data.replace(*self._misquoted) if self._misquoted else data

    def lost(self, marked: bool, data: bytes) -> Loss | None:
        """The loss of these bytes on a connection that has, or has not, carried the marker."""
        if self.doomed is None or not marked or b"COMMIT" not in data:
            return None
        loss, self.doomed = self.doomed[1], None
        self.struck.set()
        return loss

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            reset(writer)
            return
        self._clients.add(writer)
        try:
            above, upstream = await asyncio.open_connection("127.0.0.1", self._upstream)
            link = Link(self, reader, writer, above, upstream)
            self._links.add(link)
            try:
                await link.run()
            finally:
                self._links.discard(link)
                upstream.transport.abort()
        except OSError:
            reset(writer)
        finally:
            self._clients.discard(writer)
            writer.transport.abort()


class Link:
    """One connection through the proxy, until either side ends it."""

    def __init__(
        self,
        proxy: FaultProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        above: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
    ) -> None:
        self.proxy = proxy
        self.reader, self.writer, self.above, self.upstream = reader, writer, above, upstream
        self.marked = False
        self.said: deque[bytes] = deque(maxlen=1000)
        self.is_silent = False
        self.loss: Loss | None = None

    async def run(self) -> None:
        pumps = [asyncio.create_task(self._up()), asyncio.create_task(self._down())]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _up(self) -> None:
        while data := await self.reader.read(CHUNK):
            self.marked |= self.proxy.doomed is not None and self.proxy.doomed[0] in data
            self.loss = self.loss or self.proxy.lost(self.marked, data)
            if self.loss is Loss.REQUEST:
                reset(self.writer)
                return
            if self.is_silent:
                continue
            self.said.append(data)
            self.upstream.write(self.proxy.quoted(data))
            await self.upstream.drain()

    async def _down(self) -> None:
        while data := await self.above.read(CHUNK):
            if self.loss is Loss.REPLY:
                reset(self.writer)
                return
            if self.loss is Loss.SILENCE or self.is_silent:
                continue
            self.writer.write(data)
            await self.writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a machine that has lost its memory answers."""
    if (raw := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
