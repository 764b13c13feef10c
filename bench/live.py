"""Lag of changes at clients, the cost of telling thousands, and the memory of an idle socket.

The server, the clients and the writer are processes of their own. Stock is Strawberry's view over the same schema.
"""

import asyncio
import os
import random
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.database import connected
from bench.report import quantile, table
from bench.servers import Figures, Server, server
from bench.sockets import Sockets, allow_files, sockets
from gql_server.http.authentication import TokenAuthority
from gql_server.ledger.wakeup import wake_feed
from gql_server.settings import Settings

PEOPLE = 20
"""Viewers of the same permissions: one may not follow everything."""
WRITERS = 4
SETTLE_SECONDS = 0.3
REACHED_WITHIN_SECONDS = 120.0
SPARE_FILES = 500

_RUNNING = text("""
WITH made AS (
  INSERT INTO pipelines (provider, kind, status, entity_type, ingestion_method, module_type_id, year, job_count, started_at)
  SELECT 'ACCRED', 'csv_ingest', 'RUNNING', 'MODULE_PER_YEAR', 'csv', 4, 2025, 1, now() FROM generate_series(1, :count)
  RETURNING id
)
INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, ingestion_method, target_type, provider, module_type_id,
  year, state, status_message, attempts, started_at)
SELECT id, 'csv_ingest', 'MODULE_PER_YEAR', 'csv', 'DATA_ENTRIES', 'ACCRED', 4, 2025, 'RUNNING', 'Started', 1, now() FROM made
RETURNING id, pipeline_id
""")
_CHANGE = text("UPDATE data_ingestion_jobs SET status_message = :message WHERE id = ANY(:jobs)")


class Running(NamedTuple):
    """A pipeline that runs, and its job."""

    key: UUID
    job_id: int


@dataclass
class Ledger:
    """Jobs that the writer changes: every change has a number, which the followers see in the job's message."""

    engine: AsyncEngine
    tag: int = 0
    written: dict[int, tuple[UUID, float]] = field(default_factory=dict[int, tuple[UUID, float]])

    async def start(self, count: int) -> list[Running]:
        async with self.engine.begin() as connection:
            rows = await connection.execute(_RUNNING, {"count": count})
            return [Running(UUID(str(row.pipeline_id)), row.id) for row in rows]

    async def change(self, *changed: Running, silently: bool = False) -> int:
        """Commit a change of these pipelines, wake the feed unless silently, and return its number."""
        self.tag += 1
        tag = self.tag
        async with self.engine.begin() as connection:
            await connection.execute(_CHANGE, {"message": f"#{tag}", "jobs": [each.job_id for each in changed]})
        self.written[tag] = (changed[0].key, monotonic())
        if not silently:
            await wake_feed(self.engine)
        return tag


@dataclass
class Bench:
    """Server, database and clients that the measurements share."""

    ledger: Ledger
    dsn: str
    secret: str
    tokens: Sequence[str]

    def server(self, name: str) -> Any:
        return server(name, self.dsn, self.secret)

    def follow(self, url: str, followed: Sequence[Running], **options: Any) -> Any:
        return sockets(url, self.tokens, [each.key for each in followed], **options)


async def run(
    dsn: str,
    *,
    changes: int = 200,
    polls: int = 15,
    crowd: int = 2000,
    pipelines: int = 200,
    rounds: int = 5,
    stock_rounds: int = 2,
    followed: int = 500,
    rate: int = 200,
    seconds: float = float(os.environ.get("GQL_BENCH_SECONDS", "20")),
) -> None:
    """Print latency, fan-out and memory beside the baselines, and the lag at `rate` changes a second."""
    allow_files(crowd + SPARE_FILES)
    secret = secrets.token_hex(32)
    authority = TokenAuthority.of(Settings(jwt_secret=secret))  # pyright: ignore[reportArgumentType]
    tokens = [authority.mint("operator", provider="ACCRED", subject=f"operator-{number}") for number in range(PEOPLE)]
    async with connected(dsn) as engine:
        bench = Bench(Ledger(engine), dsn, secret, tokens)
        await _latency(bench, changes, polls)
        await _fan_out(bench, crowd, pipelines, rounds, stock_rounds)
        await _sustained(bench, followed, rate, seconds)


# ── commit to client ──


async def _latency(bench: Bench, changes: int, polls: int) -> None:
    async with bench.server("ours") as ours:
        [only] = await bench.ledger.start(1)
        async with bench.follow(ours.url, [only]) as client:
            notified = [await _delay(bench, client, only, pause=0.02) for _ in range(changes)]
            polled = [await _delay(bench, client, only, pause=random.random(), silently=True) for _ in range(polls)]
    rows = [_quantiles("notified", notified, "30 / 150"), _quantiles("listener hears nothing", polled, "1,200 / 1,200")]
    table("live: commit to client, one subscriber", ("", "p50 ms", "p99 ms", "max ms", "allowed p50 / p99"), rows)


async def _delay(bench: Bench, client: Sockets, changed: Running, *, pause: float, silently: bool = False) -> float:
    await asyncio.sleep(pause)
    tag = await bench.ledger.change(changed, silently=silently)
    [arrival] = await client.reached(tag, 1, REACHED_WITHIN_SECONDS)
    return arrival - bench.ledger.written[tag][1]


def _quantiles(name: str, seconds: Sequence[float], allowed: str) -> tuple[str, ...]:
    p50, p99 = quantile(seconds, 0.5), quantile(seconds, 0.99)
    return name, f"{p50 * 1000:.1f}", f"{p99 * 1000:.1f}", f"{max(seconds) * 1000:.1f}", allowed


# ── one change to thousands of sockets ──


class FanOut(NamedTuple):
    """Of one change that thousands follow, in the worst or the mean of the rounds; bytes of each socket while it is idle."""

    name: str
    seconds: float
    cpu_seconds: float
    statements: float
    idle_bytes: float


async def _fan_out(bench: Bench, crowd: int, pipelines: int, rounds: int, stock_rounds: int) -> None:
    one, many = await bench.ledger.start(1), await bench.ledger.start(pipelines)
    transport = await _idle_bytes(bench, crowd)
    costs = [
        await _told(bench, server, name, crowd, changed, times)
        for server, name, changed, times in (
            ("ours", "ours, one pipeline", one, rounds),
            ("ours", f"ours, {pipelines} pipelines", many, rounds),
            ("stock view", "stock, one pipeline", one, stock_rounds),
        )
    ]
    rows = [
        (
            cost.name,
            f"{cost.seconds * 1000:,.0f}",
            f"{cost.cpu_seconds * 1000:,.0f}",
            f"{cost.statements:,.1f}",
            f"{(cost.idle_bytes - transport) / 1024:.1f}",
        )
        for cost in costs
    ]
    columns = ("", "last socket ms", "CPU ms", "statements", "idle KiB")
    title = f"live: one change to {crowd:,} sockets, the worst of {rounds}; allowed 500 ms, 40 KiB an idle socket"
    table(f"{title} beyond an echo's {transport / 1024:.1f}", columns, rows)


async def _idle_bytes(bench: Bench, crowd: int) -> float:
    """Memory of an echo server's socket, in bytes."""
    async with bench.server("echo") as echo:
        [any_pipeline] = await bench.ledger.start(1)
        return (await _opened(bench, echo, crowd, [any_pipeline], AsyncExitStack()))[1]


async def _opened(
    bench: Bench, server: Server, crowd: int, followed: Sequence[Running], stack: AsyncExitStack
) -> tuple[Sockets, float]:
    """So many sockets on a warm server, and the bytes that each of them holds there."""
    async with bench.follow(server.url, [followed[0]] * 50):
        pass
    await asyncio.sleep(SETTLE_SECONDS)
    before = await server.figures()
    each = [followed[number % len(followed)] for number in range(crowd)]
    clients = await stack.enter_async_context(bench.follow(server.url, each))
    await asyncio.sleep(SETTLE_SECONDS)
    return clients, ((await server.figures()).resident - before.resident) / crowd


async def _told(bench: Bench, kind: str, name: str, crowd: int, changed: Sequence[Running], rounds: int) -> FanOut:
    delays: list[float] = []
    async with bench.server(kind) as server, AsyncExitStack() as stack:
        clients, held = await _opened(bench, server, crowd, changed, stack)
        before: Figures = await server.figures()
        for _ in range(rounds):
            tag = await bench.ledger.change(*changed)
            arrivals = await clients.reached(tag, crowd, REACHED_WITHIN_SECONDS)
            delays.append(max(arrivals) - bench.ledger.written[tag][1])
            await asyncio.sleep(SETTLE_SECONDS)
        after: Figures = await server.figures()
    cpu, statements = after.cpu_seconds - before.cpu_seconds, after.statements - before.statements
    return FanOut(name, max(delays), cpu / rounds, statements / rounds, held)


# ── changes without end ──


async def _sustained(bench: Bench, followed: int, rate: int, seconds: float) -> None:
    async with bench.server("ours") as ours:
        running = await bench.ledger.start(followed)
        async with bench.follow(ours.url, running, throttle_ms=250) as clients:
            before: Figures = await ours.figures()
            first = bench.ledger.tag + 1
            started = monotonic()
            await asyncio.gather(*[_write(bench.ledger, running, rate, seconds, part) for part in range(WRITERS)])
            lasted = monotonic() - started
            newest = {bench.ledger.written[tag][0]: tag for tag in range(first, bench.ledger.tag + 1)}
            arrivals = await _all(clients, set(newest.values()))
            after: Figures = await ours.figures()
    lags = _lags(bench.ledger, first, arrivals)
    third = len(lags) // 3
    rows = [
        (name, f"{quantile(part, 0.5) * 1000:.1f}", f"{quantile(part, 0.99) * 1000:.1f}")
        for name, part in (
            ("first third", lags[:third]),
            ("second third", lags[third : 2 * third]),
            ("last third", lags[-third:]),
        )
    ]
    load = (after.cpu_seconds - before.cpu_seconds) / lasted
    title = f"live: lag at {len(lags) / lasted:.0f} changes a second for {lasted:.0f} s on {followed} pipelines, each followed"
    table(f"{title} (server at {load:.0%} of a core)", ("", "p50 ms", "p99 ms"), rows)


async def _write(ledger: Ledger, running: Sequence[Running], rate: int, seconds: float, part: int) -> None:
    """This writer's part of the changes, each at its time, or as soon after as the database lets."""
    started = monotonic()
    for number in range(part, int(rate * seconds), WRITERS):
        await asyncio.sleep(max(0.0, started + number / rate - monotonic()))
        await ledger.change(running[number % len(running)])


async def _all(clients: Sockets, tags: set[int]) -> dict[int, float]:
    """Times at which each change was seen first, once these have been. Raises TimeoutError."""
    arrived: dict[int, float] = {}
    async with asyncio.timeout(REACHED_WITHIN_SECONDS):
        while not tags <= arrived.keys():
            arrived |= {tag: min(times) for tag, times in (await clients.arrivals()).items() if tag not in arrived}
            await asyncio.sleep(0.2)
    return arrived


def _lags(ledger: Ledger, first: int, arrivals: dict[int, float]) -> list[float]:
    """Seconds from each commit until its pipeline's follower saw it, or a later one."""
    shown: dict[UUID, float] = {}
    lags: list[float] = []
    for tag in range(ledger.tag, first - 1, -1):
        key, committed = ledger.written[tag]
        shown[key] = arrivals[tag] if tag in arrivals else shown[key]
        lags.append(shown[key] - committed)
    return lags[::-1]
