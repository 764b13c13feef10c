"""The port for machines that watch: `/metrics` in Prometheus's format, and the probes. It asks for no token."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client import REGISTRY, CollectorRegistry, make_asgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gql_server.metrics import LOOP_LAG

LOOKED_AT_EVERY_SECONDS = 0.25

Gauge = Callable[[], float | None]
"""The present value of something, or None while it has none."""
Ready = Callable[[Request], Awaitable[Response]]


class Refreshed(Protocol):
    """A collector that reads before it is asked."""

    async def refresh(self) -> None: ...


class Gauges(Collector):
    """Values that are there to be looked at when somebody scrapes, by name and with what they are."""

    def __init__(self, gauges: Mapping[str, tuple[str, Gauge]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for name, (description, gauge) in self._gauges.items():
            if (value := gauge()) is not None:
                yield GaugeMetricFamily(name, description, value=value)


class Pools(Collector):
    """The pools of database connections, by name."""

    def __init__(self, pools: Mapping[str, AsyncEngine]) -> None:
        self._pools = pools

    def collect(self) -> Iterable[GaugeMetricFamily]:
        used = GaugeMetricFamily("gql_pool_connections", "Connections to the database.", labels=["pool", "state"])
        most = GaugeMetricFamily("gql_pool_connections_max", "Connections there may be.", labels=["pool"])
        for name, engine in self._pools.items():
            pool = engine.pool
            assert isinstance(pool, QueuePool)
            used.add_metric([name, "in_use"], pool.checkedout())
            used.add_metric([name, "idle"], pool.checkedin())
            most.add_metric([name], pool.size() + pool._max_overflow)  # pyright: ignore[reportPrivateUsage]
        return [used, most]


class _Scraped(CollectorRegistry):
    """The metrics of the process, and those of what it runs."""

    def __init__(self, collectors: Iterable[Collector]) -> None:
        super().__init__()
        for collector in (REGISTRY, *collectors):
            self.register(collector)


class _Exposition:
    """The endpoint of metrics: reads what is to be read, then shows everything."""

    def __init__(self, shown: ASGIApp, refreshed: Refreshed | None) -> None:
        self._shown, self._refreshed = shown, refreshed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._refreshed is not None:
            await self._refreshed.refresh()
        await self._shown(scope, receive, send)


def metrics_app(collectors: Sequence[Collector], ready: Ready, refreshed: Refreshed | None = None) -> Starlette:
    """The application of the port. `refreshed` is asked to read before each scrape; it may remember."""
    scraped = _Scraped(collectors)
    exposition = _Exposition(make_asgi_app(scraped), refreshed)
    app = Starlette(
        routes=[Route("/livez", live), Route("/readyz", ready), Route("/metrics", exposition)],
        lifespan=_watching,
    )
    app.state.register = scraped.register
    return app


@contextlib.asynccontextmanager
async def _watching(app: Starlette) -> AsyncGenerator[None]:
    watching = asyncio.create_task(watch_loop())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def watch_loop() -> None:
    """Measure how late the event loop is, for ever."""
    while True:
        due = time.perf_counter() + LOOKED_AT_EVERY_SECONDS
        await asyncio.sleep(LOOKED_AT_EVERY_SECONDS)
        LOOP_LAG.observe(max(0.0, time.perf_counter() - due))


async def live(request: Request) -> Response:
    """Tell that the process runs."""
    return PlainTextResponse("ok\n")


def families(
    name: str, description: str, labels: Sequence[str], values: Iterator[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    """A gauge with a value for each combination of labels."""
    family = GaugeMetricFamily(name, description, labels=labels)
    for labelled, value in values:
        family.add_metric(labelled, value)
    return family
