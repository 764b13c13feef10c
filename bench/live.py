"""Lag of changes at clients, the cost of telling thousands, and the memory of an idle socket.

The server, the clients and the writer are processes of their own. Stock is Strawberry's view over the same schema.
"""

import asyncio
import os
import random
import secrets
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from graphql import OperationType

from bench.changes import Ledger, Running
from bench.database import connected
from bench.queries import documents
from bench.report import quantile, table
from bench.rivals.load import once, target
from bench.servers import Figures, Server, server
from bench.sockets import Arrivals, Sockets, allow_files, sockets, subscribed
from gql_server.http.authentication import TokenAuthority
from gql_server.settings import Settings

PEOPLE = 20
"""Viewers of the same permissions: one may not follow everything."""
SETTLE_SECONDS = 0.3
REACHED_WITHIN_SECONDS = 120.0
SPARE_FILES = 500
LIST_SECONDS = 10.0
NOW = "{ pipelines(first: 1) { feedToken } }"


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
    """Print latency, fan-out and memory beside the baselines, and the lag at `rate` changes a second of pipelines and of a
    list."""
    allow_files(crowd + SPARE_FILES)
    secret = secrets.token_hex(32)
    authority = TokenAuthority.of(Settings(jwt_secret=secret))  # pyright: ignore[reportArgumentType]
    tokens = [authority.mint("operator", provider="ACCRED", subject=f"operator-{number}") for number in range(PEOPLE)]
    async with connected(dsn) as engine:
        bench = Bench(Ledger(engine), dsn, secret, tokens)
        await _latency(bench, changes, polls)
        await _fan_out(bench, crowd, pipelines, rounds, stock_rounds)
        await _sustained(bench, followed, rate, seconds)
        await _of_list(bench, followed, rate, min(seconds, LIST_SECONDS))


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


class Sustained(NamedTuple):
    """Of changes without end: the seconds that they took, each one's lag, how many were told in a second from the first to the
    last, and the server's share of a core meanwhile."""

    lasted: float
    lags: Sequence[float]
    told_per_second: float
    load: float


async def _sustained(bench: Bench, followed: int, rate: int, seconds: float) -> None:
    async with bench.server("ours") as ours:
        running = await bench.ledger.start(followed)
        async with bench.follow(ours.url, running, throttle_ms=250) as clients:
            seen = await _changing(bench, ours, clients, running, rate, seconds)
    third = len(seen.lags) // 3
    rows = [
        (name, f"{quantile(part, 0.5) * 1000:.1f}", f"{quantile(part, 0.99) * 1000:.1f}")
        for name, part in (
            ("first third", seen.lags[:third]),
            ("second third", seen.lags[third : 2 * third]),
            ("last third", seen.lags[-third:]),
        )
    ]
    title = f"live: lag at {_rate(seen)} on {followed} pipelines, each followed"
    table(f"{title} (server at {seen.load:.0%} of a core)", ("", "p50 ms", "p99 ms"), rows)


async def _of_list(bench: Bench, running: int, rate: int, seconds: float) -> None:
    """One follower of the list, who asks what the console asks."""
    async with bench.server("ours") as ours:
        changing = await bench.ledger.start(running)
        page = await once(target(ours.port, "/graphql", {"query": NOW}, bench.tokens[0]))
        after = orjson.loads(page)["data"]["pipelines"]["feedToken"]
        feed = documents(OperationType.SUBSCRIPTION)["PipelineFeed"]
        async with subscribed(ours.url, bench.tokens[:1], feed, [{"after": after}], is_told_at_once=False) as client:
            seen = await _changing(bench, ours, client, changing, rate, seconds)
    row = (
        "the console's list",
        f"{seen.told_per_second:.0f}",
        *(f"{quantile(seen.lags, share) * 1000:,.0f}" for share in (0.5, 0.99)),
        f"{seen.load:.0%}",
    )
    title = f"live: one follower of a list at {_rate(seen)} on {running} pipelines"
    table(title, ("", "told a second", "p50 ms", "p99 ms", "server, of a core"), [row])


async def _changing(
    bench: Bench, server: Server, clients: Sockets, running: Sequence[Running], rate: int, seconds: float
) -> Sustained:
    """Change these so many times a second, and wait until the last change of each was seen."""
    ledger, first = bench.ledger, bench.ledger.tag + 1
    before = await server.figures()
    lasted = await ledger.keep_changing(running, rate, seconds)
    arrivals = await _all(clients, ledger.newest(first))
    used = (await server.figures()).cpu_seconds - before.cpu_seconds
    came = sorted(time for times in arrivals.values() for time in times)
    earliest = {tag: min(times) for tag, times in arrivals.items()}
    return Sustained(lasted, ledger.lags(first, earliest), len(came) / (came[-1] - came[0]), used / lasted)


def _rate(seen: Sustained) -> str:
    return f"{len(seen.lags) / seen.lasted:.0f} changes a second for {seen.lasted:.0f} s"


async def _all(clients: Sockets, tags: set[int]) -> Arrivals:
    """Times at which each change was seen, once these have been. Raises TimeoutError."""
    arrived: defaultdict[int, list[float]] = defaultdict(list)
    async with asyncio.timeout(REACHED_WITHIN_SECONDS):
        while not tags <= arrived.keys():
            for tag, times in (await clients.arrivals()).items():
                arrived[tag] += times
            await asyncio.sleep(0.2)
    return arrived
