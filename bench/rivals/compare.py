"""Ours beside the bare handler, stock Strawberry and PostGraphile: requests a second in one interleaved run, as ratios."""

import os
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import orjson

from bench.database import connected
from bench.report import console
from bench.rivals import beside, node
from bench.rivals.asking import Asking, Targets, targets
from bench.rivals.load import Rate, Target, load
from bench.rivals.results import Rates, as_json, fallen, medians, show, show_beside
from bench.servers import Server, server
from gql_server.http.authentication import TokenAuthority
from gql_server.settings import Settings

SERVERS = ("ours", "stock view", "bare", "stock")
PEOPLE = 20
ROOT = Path(__file__).parents[2]
RESULTS = ROOT / ".data" / "bench" / "graph.json"
RECORDED = Path(__file__).parent / "recorded.json"
TICK_SECONDS = 0.01
"""The least that is told of processor time."""
AGAIN = 2
"""Times that a fall is looked at again."""


async def run(
    dsn: str,
    *,
    rounds: int = int(os.environ.get("GQL_BENCH_ROUNDS", "9")),
    seconds: float = float(os.environ.get("GQL_BENCH_SECONDS", "1")),
    results: Path = RESULTS,
) -> None:
    """Ask every server every operation in turn for some seconds, round after round; print the ratios and write them as JSON."""
    authority = _authority()
    async with AsyncExitStack() as stack:
        asking = _asking(await stack.enter_async_context(_servers(dsn, authority.key, SERVERS)), authority)
        second = (await stack.enter_async_context(server("ours", dsn, authority.key))).port
        if node.is_installed():
            port = await stack.enter_async_context(node.postgraphile(dsn))
            asking = replace(asking, ports={**asking.ports, "PostGraphile": port})
        rates = await _measured(await targets(dsn, asking), rounds, seconds)
        show(rates)
        engine = await stack.enter_async_context(connected(dsn))

        def principal(unit: str) -> Asking:
            return replace(asking, token=authority.mint("principal", unit=unit, provider="ACCRED"))

        rows = await stack.enter_async_context(beside.beside(engine, asking, principal, second))
        sides = await beside.measured(rows, rounds, seconds)
        show_beside(rows, sides)
    _write(results, as_json(rates, rows, sides, cores=os.cpu_count(), rounds=rounds, seconds=seconds))


async def check(
    dsn: str,
    *,
    rounds: int = int(os.environ.get("GQL_BENCH_ROUNDS", "5")),
    seconds: float = float(os.environ.get("GQL_BENCH_SECONDS", "0.5")),
    recorded: Path = RECORDED,
) -> None:
    """Compare the ratios with the recorded ones: any that is a fifth less in each of three tries ends the program. Ratios
    are recorded where none are. The second is one of processor time of the server, whatever else the machine does."""
    async with spending(dsn) as (asked, servers):
        await compared(asked, servers, rounds=rounds, seconds=seconds, recorded=recorded)


@asynccontextmanager
async def spending(dsn: str) -> AsyncGenerator[tuple[Targets, Mapping[int, Server]]]:
    """Targets of the servers that are compared, and these by their ports, while they run."""
    async with _servers(dsn, (authority := _authority()).key, SERVERS) as servers:
        yield await targets(dsn, _asking(servers, authority)), {each.port: each for each in servers.values()}


async def compared(asked: Targets, servers: Mapping[int, Server], *, rounds: int, seconds: float, recorded: Path) -> None:
    """Compare the ratios of servers that run; what has fallen is looked at again, alone."""
    rates = await _measured(asked, rounds, seconds, servers)
    show(rates, second="second of its CPU")
    expected = _expected(recorded)
    if expected is None:
        _write(recorded, orjson.dumps(medians(rates), option=orjson.OPT_INDENT_2) + b"\n")
        return
    found = fallen(expected, rates)
    for _ in range(AGAIN):
        if not found:
            return
        suspected = {operation for operation, _ in found}
        rates = await _measured({each: asked[each] for each in suspected}, rounds, seconds, servers)
        again = fallen({each: expected[each] for each in suspected}, rates)
        found = {name: again[name] for name in found if name in again}
    if found:
        raise SystemExit("\n".join(["graph: slower than recorded", *found.values()]))


def _expected(recorded: Path) -> dict[str, dict[str, float]] | None:
    return orjson.loads(recorded.read_bytes()) if recorded.exists() else None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _authority() -> TokenAuthority:
    return TokenAuthority.of(Settings(jwt_secret=secrets.token_hex(32)))  # pyright: ignore[reportArgumentType]


@asynccontextmanager
async def _servers(dsn: str, secret: str, names: Sequence[str]) -> AsyncGenerator[Mapping[str, Server]]:
    """The servers of these names while they run."""
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(server(name, dsn, secret)) for name in names}


def _asking(servers: Mapping[str, Server], authority: TokenAuthority) -> Asking:
    followers = [authority.mint("operator", provider="ACCRED", subject=f"operator-{number}") for number in range(PEOPLE)]
    ports = {name: each.port for name, each in servers.items()}
    return Asking(ports, authority.mint("superadmin", provider="ACCRED", subject="bench"), followers)


async def _measured(asked: Targets, rounds: int, seconds: float, spending: Mapping[int, Server] | None = None) -> Rates:
    """By operation and server: rates of each round, of what the servers by those ports spent if they are given."""
    rates: defaultdict[str, defaultdict[str, list[Rate]]] = defaultdict(lambda: defaultdict(list))
    for of_operation in asked.values():
        for each in of_operation.values():
            await load(seconds / 2, each)
    for _ in range(rounds):
        for operation, of_operation in asked.items():
            for name, each in of_operation.items():
                taken = await (_spent(seconds, each, spending[each.port]) if spending else load(seconds, each))
                rates[operation][name].append(taken)
    return rates


async def _spent(seconds: float, asked: Target, spending: Server) -> Rate:
    """The load, with its answers in a second of processor time of the server."""
    before = (await spending.figures()).cpu_seconds
    rate = await load(seconds, asked)
    spent = (await spending.figures()).cpu_seconds - before
    return Rate(len(rate.seconds) / max(spent, TICK_SECONDS), rate.seconds)
