"""The bare handler: Starlette, asyncpg and orjson, written by hand for one answer each.

Where an answer follows from rules that nobody would write twice (a pipeline in depth, facets), the handler executes the
statements that our server executed for it and sends the bytes that our server sent: the floor of any server with these
statements.
"""

import base64
import socket
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.database import connected
from bench.graph import Graph
from bench.plans import Executed, recorded
from bench.rivals.operations import DEEP, FACETS, Ask
from gql_server.graph.nodes import encode
from gql_server.settings import Settings

CONNECTIONS = 8
BEYOND_ALL = UUID(int=2**128 - 1)

PIPELINES = """SELECT id, status, kind, job_count, error_count, started_at, finished_at, created_at, last_error
FROM pipelines WHERE provider = 'ACCRED' AND id < $1 ORDER BY id DESC LIMIT $2"""
PIPELINE_KEYS = ("id", "status", "kind", "jobCount", "errorCount", "startedAt", "finishedAt", "createdAt", "message")
JOBS = """SELECT pipeline_id, id, job_type, state::text, result::text, status_message, started_at, finished_at, attempts,
duration_seconds FROM data_ingestion_jobs WHERE pipeline_id = ANY($1) ORDER BY pipeline_id, id"""
JOB_KEYS = ("id", "jobId", "kind", "state", "result", "message", "startedAt", "finishedAt", "attempt", "durationSeconds")
WIDE_JOBS = """SELECT pipeline_id, id, upper(job_type), job_type, state::text, result::text, status_message, created_at,
started_at, finished_at, attempts, max_attempts, duration_seconds, target_type::text, ingestion_method::text
FROM data_ingestion_jobs WHERE pipeline_id = ANY($1) ORDER BY pipeline_id, id"""
WIDE_KEYS = (
    *("id", "jobId", "kind", "kindRaw", "state", "result", "message", "createdAt", "startedAt", "finishedAt"),
    *("attempt", "maxAttempts", "durationSeconds", "target", "method"),
)
JOBS_OF_A_PIPELINE = 20


def answered(data: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps({"data": data}, option=orjson.OPT_UTC_Z), media_type="application/json")


def global_id(kind: str, key: object) -> str:
    return base64.b64encode(f"{kind}:{key}".encode()).decode()


class Bare:
    """The handlers over one pool."""

    pool: asyncpg.Pool

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.replayed: dict[str, tuple[list[Executed], bytes]] = {}

    async def console(self, request: Request) -> Response:
        variables = orjson.loads(await request.body())["variables"]
        first = variables["first"]
        async with self.pool.acquire() as connection:
            pipelines = await connection.fetch(PIPELINES, UUID(variables["before"]), first + 1)
            jobs = await connection.fetch(JOBS, [row[0] for row in pipelines[:first]])
        of: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for row in jobs:
            if len(of[row[0]]) < JOBS_OF_A_PIPELINE:
                of[row[0]].append(
                    dict(zip(JOB_KEYS, (global_id("Job", row[1]), row[1], row[2].upper(), *row[3:]), strict=True))
                )
        edges = [
            {
                "cursor": str(row[0]),
                "node": dict(zip(PIPELINE_KEYS, (global_id("Pipeline", row[0]), row[1], row[2].upper(), *row[3:]), strict=True))
                | {"jobs": {"nodes": of[row[0]]}},
            }
            for row in pipelines[:first]
        ]
        page = {"hasNextPage": len(pipelines) > first, "endCursor": edges[-1]["cursor"]}
        return answered({"pipelines": {"edges": edges, "pageInfo": page}})

    async def wide(self, request: Request) -> Response:
        first = orjson.loads(await request.body())["variables"]["first"]
        async with self.pool.acquire() as connection:
            pipelines = await connection.fetch(PIPELINES, BEYOND_ALL, first)
            jobs = await connection.fetch(WIDE_JOBS, [row[0] for row in pipelines])
        of: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for row in jobs:
            if len(of[row[0]]) < JOBS_OF_A_PIPELINE:
                of[row[0]].append(dict(zip(WIDE_KEYS, (global_id("Job", row[1]), *row[1:]), strict=True)))
        nodes = [{"id": global_id("Pipeline", row[0]), "jobs": {"nodes": of[row[0]]}} for row in pipelines]
        return answered({"pipelines": {"nodes": nodes}})

    async def viewer(self, request: Request) -> Response:
        orjson.loads(await request.body())
        return answered({"viewer": {"id": global_id("User", "bench")}})

    async def replay(self, request: Request) -> Response:
        orjson.loads(await request.body())
        statements, answer = self.replayed[request.url.path]
        async with self.pool.acquire() as connection:
            for statement, parameters in statements:
                await connection.fetch(statement, *parameters)
        return Response(answer, media_type="application/json")

    async def record(self, path: str, ask: Ask) -> None:
        """Remember the statements of our server for this request, and its answer."""
        async with connected(self.dsn) as engine:
            graph = Graph(engine)
            try:
                with recorded(engine) as executed:
                    data = await graph.ask(ask.query, ask.variables)
            finally:
                await graph.close()
        self.replayed[path] = (executed, orjson.dumps({"data": data}))

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncGenerator[None]:
        async with asyncpg.create_pool(self.dsn, min_size=2, max_size=CONNECTIONS, init=_json) as pool:
            self.pool = pool
            newest = await pool.fetchval("SELECT id FROM pipelines WHERE provider = 'ACCRED' ORDER BY id DESC LIMIT 1")
            await self.record("/deep", Ask(DEEP, {"id": encode("Pipeline", str(newest))}))
            await self.record("/facets", Ask(FACETS))
            yield


async def _json(connection: asyncpg.Connection) -> None:
    """Decode JSON as our server's connections do."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=str, decoder=orjson.loads, schema="pg_catalog")


async def bare(settings: Settings, dsn: str, listener: socket.socket) -> None:
    handlers = Bare(dsn)
    paths = {name: getattr(handlers, name) for name in ("console", "wide", "viewer")} | dict.fromkeys(
        ("deep", "facets"), handlers.replay
    )
    routes = [Route(f"/{name}", handler, methods=["POST"]) for name, handler in paths.items()]
    app = Starlette(routes=routes, lifespan=handlers.lifespan)
    config = uvicorn.Config(app, lifespan="on", log_config=None, access_log=False)
    await uvicorn.Server(config).serve([listener])
