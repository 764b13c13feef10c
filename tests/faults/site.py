"""The site of one fault: a database that keeps an audit, the processes on it, and what must be true afterwards."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import ledger
from gql_server.db.embedded.cluster import free_port
from gql_server.db.models import IngestionMethod, Provider, TargetType
from gql_server.http.authentication import TokenAuthority
from gql_server.ledger import NewJob, Submitted, wakeup
from gql_server.policy import Role, Viewer, permissions_of
from tests.faults.audit import nothing_lost
from tests.faults.cluster import Cluster
from tests.faults.processes import Process, fork, launch

SECRET = "the signing key of the fault lane"
OPERATOR = Viewer("operator", Provider.ACCRED.value, permissions_of(Role.OPERATOR, None))
Report = Callable[[str, object], None]
OF_THE_START = {"LD_PRELOAD", "PYTHONPATH"}
"""Variables that a process reads when it starts."""
FAULT = "fault"
"""The name under which a line of the table is reported."""
AWAY = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass
class Site:
    """`cluster` holds `database`; what is reported becomes the table at the end of the lane."""

    cluster: Cluster
    database: str
    engine: AsyncEngine
    folder: Path
    report: Report
    processes: list[Process] = field(default_factory=list)

    # processes

    def start(
        self, name: str, *arguments: str, port: int | None = None, launcher: Sequence[str] = (), **environment: str
    ) -> Process:
        """Start one of our commands; `port` is a proxy's. Forked, but where the launcher or the start of Python matters."""
        ours = {"GQL_DATABASE_URL": self.cluster.dsn(self.database, port), "GQL_WORKER_ID": name, "GQL_JWT_SECRET": SECRET}
        starting = partial(launch, launcher=launcher) if launcher or OF_THE_START & environment.keys() else fork
        process = starting(name, arguments, ours | environment, self.folder / f"{name}.log")
        self.processes.append(process)
        return process

    async def worker(self, name: str, *, lease: float = 10, port: int | None = None, **environment: str) -> Process:
        """A worker that is at work."""
        process = self.start(name, "worker", port=port, **{"GQL_LEASE": str(lease), **environment})
        async with asyncio.timeout(60):
            while not await self._says("SELECT count(*) FROM pods WHERE pod_id = :name", {"name": name}):
                assert process.popen.poll() is None, process.said
                await asyncio.sleep(0.05)
        return process

    @asynccontextmanager
    async def serve(
        self, *, port: int | None = None, launcher: Sequence[str] = (), **environment: str
    ) -> AsyncGenerator[httpx.AsyncClient]:
        """An API that is ready, and a client signed in as operator; `port` is a proxy's before the database."""
        own_port = free_port()
        process = self.start("serve", "serve", "--port", str(own_port), port=port, launcher=launcher, **environment)
        token = TokenAuthority(SECRET, "gql-server", "gql-server").mint("operator", provider=Provider.ACCRED)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{own_port}", headers=headers, timeout=60) as client:
            async with asyncio.timeout(60):
                while not await answers(client):
                    assert process.popen.poll() is None, process.said
                    await asyncio.sleep(0.05)
            yield client

    # the ledger

    async def submit(self, job_type: str = "effect", **config: Any) -> Submitted:
        """Submit and wake; what it returns has been accepted."""
        new = NewJob(
            job_type=job_type,
            provider=OPERATOR.provider,
            ingestion_method=IngestionMethod.API,
            target_type=TargetType.REFERENCE_DATA,
            config=config,
        )
        async with self.engine.begin() as connection:
            submitted = await ledger.submit(connection, new, ())
        await wakeup.wake_all(self.engine)
        return submitted

    async def query(self, statement: str, **parameters: Any) -> Sequence[Row[Any]]:
        async with self.engine.connect() as connection:
            return (await connection.execute(text(statement), parameters)).all()

    async def value(self, statement: str, **parameters: Any) -> Any:
        return (await self.query(statement, **parameters))[0][0]

    async def execute(self, statement: str, **parameters: Any) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement), parameters)

    async def job(self, job_id: int) -> Row[Any]:
        return (await self.query("SELECT * FROM data_ingestion_jobs WHERE id = :id", id=job_id))[0]

    async def status(self, pipeline_id: Any) -> str:
        return await self.value("SELECT status FROM pipelines WHERE id = :id", id=pipeline_id)

    async def until(self, statement: str, within: float = 20, **parameters: Any) -> float:
        """Seconds until the statement's value is true; a database that is away has not said so yet."""
        began = time.monotonic()
        async with asyncio.timeout(within):
            while not await self._says(statement, parameters):
                await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def _says(self, statement: str, parameters: Mapping[str, Any]) -> bool:
        try:
            return bool(await self.value(statement, **parameters))
        except AWAY:
            return False

    async def paused(self, job_id: int, point: str) -> str:
        """The worker that has paused in this job."""
        message = f"paused {point}"
        await self.until("SELECT status_message = :m FROM data_ingestion_jobs WHERE id = :id", m=message, id=job_id)
        return (await self.job(job_id)).locked_by

    async def claimed_again(self, job_id: int, within: float) -> float:
        """Seconds until the job is claimed for a second time."""
        return await self.until("SELECT attempts > 1 FROM data_ingestion_jobs WHERE id = :id", within, id=job_id)

    async def all_finished(self, within: float = 30) -> float:
        """Seconds until nothing is live."""
        jobs = "SELECT count(*) = 0 FROM data_ingestion_jobs WHERE state <> 'FINISHED'"
        pipelines = "SELECT count(*) = 0 FROM pipelines WHERE status IN ('NOT_STARTED', 'RUNNING')"
        return await self.until(jobs, within) + await self.until(pipelines, within)

    # what must be true

    async def survived(self, what: str, seconds: float, accepted: Collection[int] = ()) -> None:
        """Check that nothing was lost, and report the fault in one line."""
        self.report(FAULT, (what, f"{seconds:.1f} s", await nothing_lost(self, accepted)))

    async def close(self) -> None:
        for process in self.processes:
            process.kill()
        await self.engine.dispose()


async def answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False
