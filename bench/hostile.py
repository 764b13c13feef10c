"""Time in which a neighbour is answered while somebody sends ten hostile requests a second, beside the time without them."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import cycle

import httpx

from bench.database import connected
from bench.report import quantile, table
from bench.servers import Server, server
from gql_server.generate.load import generate
from gql_server.http.authentication import TokenAuthority
from tests.effort import HOSTILE, many

COLUMNS = ("neighbour", "requests", "p50 ms", "p99 ms")
PIPELINES = 2_000
ROUNDS, ROUND_SECONDS = 5, 4.0
PER_SECOND = 10
WORSE_MS_MAX = 20
PAGE = "{ pipelines(first: 25) { nodes { pipelineId status message jobs(first: 5) { nodes { kind state } } } } }"
DEAR = "{ " + many('s{n}: pipelines(first: 25, filter: {{ search: "x{n}" }}) {{ nodes {{ id }} }}', 18) + " }"


async def run(dsn: str) -> None:
    """Print both, measured in turns, so that what else the machine does is of both; and whether the neighbour is at most 20 ms
    worse off."""
    async with connected(dsn) as engine:
        await generate(engine, pipelines=PIPELINES, seed=1, provider="DEFAULT")
    secret = secrets.token_hex(32)
    authority = TokenAuthority(secret, "gql-server", "gql-server")
    quiet, attacked = list[float](), list[float]()
    async with server("ours", dsn, secret) as ours:
        neighbour, hostile = (_client(ours, authority.mint("operator", subject=name)) for name in ("neighbour", "hostile"))
        async with neighbour, hostile:
            await _ask(neighbour, 1.0)
            for _ in range(ROUNDS):
                quiet += await _ask(neighbour, ROUND_SECONDS)
                async with _attack(hostile):
                    attacked += await _ask(neighbour, ROUND_SECONDS)
    rows = [
        (name, str(len(taken)), f"{quantile(taken, 0.5) * 1000:.1f}", f"{quantile(taken, 0.99) * 1000:.1f}")
        for name, taken in (("alone", quiet), (f"with {PER_SECOND} hostile requests a second", attacked))
    ]
    table("hostile: a page of 25 pipelines", COLUMNS, rows)
    worse = (quantile(attacked, 0.99) - quantile(quiet, 0.99)) * 1000
    verdict = "as it should be" if worse <= WORSE_MS_MAX else f"more than {WORSE_MS_MAX}"
    print(f"p99 is {worse:+.1f} ms, {verdict}; {quantile(attacked, 0.99) / quantile(quiet, 0.99):.2f} times that of without")


def _client(ours: Server, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{ours.port}", headers=headers, timeout=60)


async def _ask(client: httpx.AsyncClient, seconds: float) -> list[float]:
    """Ask one after the other for so long; the time that each took."""
    taken, until = list[float](), time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until:
        response = await client.post("/graphql", json={"query": PAGE})
        assert "errors" not in response.json(), response.text
        taken.append(time.perf_counter() - begun)
    return taken


@asynccontextmanager
async def _attack(client: httpx.AsyncClient) -> AsyncGenerator[None]:
    """Send a hostile document every tenth of a second meanwhile, whether those before are answered or not."""
    sent = set[asyncio.Task[httpx.Response]]()

    async def send() -> None:
        for document in cycle([*HOSTILE.values(), DEAR]):
            sent.add(asyncio.create_task(client.post("/graphql", json={"query": document})))
            await asyncio.sleep(1 / PER_SECOND)

    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        await asyncio.gather(*sent, return_exceptions=True)
