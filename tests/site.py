"""Processes of ours on the database of a test: an API that may restart, and workers."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import handlers
from gql_server.commands.years import create_year
from gql_server.db.embedded.cluster import free_port
from gql_server.db.models import Provider
from gql_server.http.authentication import TokenAuthority
from gql_server.ledger.wakeup import wake_all
from gql_server.policy import Role, Viewer, permissions_of
from gql_server.worker import registry
from tests.faults.processes import Process, fork, launch

assert handlers.__all__
SECRET = "the signing key of processes under test"
OPERATOR = Viewer("operator", Provider.ACCRED.value, permissions_of(Role.OPERATOR, None))
LIVE = "SELECT count(*) FROM pipelines WHERE status IN ('NOT_STARTED', 'RUNNING')"


class Site:
    """An API that may restart and a worker, on a database; `environment` is theirs, with an operator's token in it."""

    def __init__(self, dsn: str, engine: AsyncEngine, folder: Path) -> None:
        self._engine, self._folder, self._port = engine, folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}/graphql"
        token = TokenAuthority(SECRET, "gql-server", "gql-server").mint("operator", provider=Provider.ACCRED)
        self.environment = {"GQL_DATABASE_URL": dsn, "GQL_JWT_SECRET": SECRET, "GQL_TOKEN": token}
        self.processes: list[Process] = []

    @property
    def port(self) -> str:
        return str(self._port)

    def start(self, name: str, *arguments: str) -> Process:
        log = self._folder / f"{name}.log"
        is_other = "GQL_TEST_PROGRAM" in self.environment
        starting = partial(launch, launcher=()) if is_other else fork
        self.processes.append(starting(name, arguments, self.environment, log))
        return self.processes[-1]

    async def serve(self, name: str) -> Process:
        api = self.start(name, "serve", "--port", self.port)
        async with asyncio.timeout(60), httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}") as client:
            while not await _is_ready(client):
                assert api.popen.poll() is None, api.said
                await asyncio.sleep(0.05)
        return api

    async def stop(self, api: Process) -> None:
        """SIGTERM: it drains, and ends by itself."""
        api.send(signal.SIGTERM)
        assert await asyncio.to_thread(api.popen.wait, 15) == 0

    async def run_pipeline(self, year: int) -> str:
        """Create a year, and wait until the pipeline of its unit sync has ended; its id."""
        async with self._engine.begin() as connection:
            submitted = await create_year(connection, registry, OPERATOR, year)
        await wake_all(self._engine)
        async with asyncio.timeout(60):
            while await self._is_live():
                await asyncio.sleep(0.05)
        return str(submitted.pipeline_id)

    async def _is_live(self) -> bool:
        async with self._engine.connect() as connection:
            return bool(await connection.scalar(text(LIVE)))


async def _is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@asynccontextmanager
async def opened(dsn: str, engine: AsyncEngine, folder: Path) -> AsyncGenerator[Site]:
    """A site without processes yet; in the end without any."""
    site = Site(dsn, engine, folder)
    try:
        yield site
    finally:
        for process in site.processes:
            process.kill()
