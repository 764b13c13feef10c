"""Keeps servers busy over a few connections, and counts their answers."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from statistics import median
from time import perf_counter
from typing import NamedTuple

import orjson

CONNECTIONS = 4


class Target(NamedTuple):
    """Address of a request, and all its bytes."""

    port: int
    request: bytes


class Rate(NamedTuple):
    """Answers in a second, and the seconds each of them took."""

    per_second: float
    seconds: list[float]


class Ratio(NamedTuple):
    """Of two rates taken one after the other: the median of all rounds, the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, ours: Sequence[Rate], theirs: Sequence[Rate]) -> "Ratio":
        ratios = sorted(mine.per_second / other.per_second for mine, other in zip(ours, theirs, strict=True))
        return cls(median(ratios), ratios[0], ratios[-1])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f}-{self.greatest:.2f})"


def target(port: int, path: str, body: object, token: str | None = None) -> Target:
    """A POST of JSON over a connection that is kept."""
    content = orjson.dumps(body)
    headers = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        "Accept: application/json",
        f"Content-Length: {len(content)}",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return Target(port, "\r\n".join(headers).encode() + b"\r\n\r\n" + content)


async def once(asked: Target) -> bytes:
    """The body of one answer. Raises RuntimeError unless its status is 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", asked.port, limit=2**24)
    try:
        return await _exchange(reader, writer, asked.request)
    finally:
        writer.close()


async def load(seconds: float, *asked: Target) -> Rate:
    """Answers that `CONNECTIONS` clients get who ask again as soon as they are answered: servers are shared out among them,
    and each asks all requests of its server in turn."""
    ports = list(dict.fromkeys(each.port for each in asked))
    taken: list[float] = []
    started = perf_counter()
    clients = [
        _ask(port, _turned([each.request for each in asked if each.port == port], number), started + seconds, taken)
        for number, port in enumerate(islice(cycle(ports), CONNECTIONS))
    ]
    await asyncio.gather(*clients)
    return Rate(len(taken) / (perf_counter() - started), taken)


def _turned(requests: Sequence[bytes], number: int) -> Iterator[bytes]:
    """The requests without end, from another one on for each client."""
    return islice(cycle(requests), number % len(requests), None)


async def _ask(port: int, requests: Iterator[bytes], until: float, taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        while (began := perf_counter()) < until:
            await _exchange(reader, writer, next(requests))
            taken.append(perf_counter() - began)
    finally:
        writer.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    body = await _body(reader, head)
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"{head.decode()}{body.decode()}")
    return body


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if b"transfer-encoding: chunked" not in head:
        return await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
    chunks: list[bytes] = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(chunks)
