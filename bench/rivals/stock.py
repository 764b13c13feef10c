"""Stock Strawberry: its own view, ORM rows, a dataloader for the jobs, and caches of parsed and validated documents.

Types are written as its documentation teaches, for the fields that the operations ask.
"""

import base64
import socket
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry
import uvicorn
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache

from gql_server import db, processes
from gql_server.db import models
from gql_server.settings import Settings

Info = strawberry.Info[dict[str, Any], None]


def global_id(kind: str, key: object) -> strawberry.ID:
    return strawberry.ID(base64.b64encode(f"{kind}:{key}".encode()).decode())


def kind_of(stored: str | None) -> str:
    return (stored or "").upper()


@strawberry.type
class Job:
    """A job. Its fields are attributes of the ORM row, which stands in its place."""

    job_type: str | None = strawberry.field(name="kindRaw")
    state: str | None
    result: str | None
    status_message: str | None = strawberry.field(name="message")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int = strawberry.field(name="attempt")
    max_attempts: int
    duration_seconds: float | None
    target_type: str | None = strawberry.field(name="target")
    ingestion_method: str = strawberry.field(name="method")

    @strawberry.field
    @staticmethod
    def id(root: strawberry.Parent[models.Job]) -> strawberry.ID:
        return global_id("Job", root.id)

    @strawberry.field
    @staticmethod
    def job_id(root: strawberry.Parent[models.Job]) -> int:
        return root.id

    @strawberry.field
    @staticmethod
    def kind(root: strawberry.Parent[models.Job]) -> str:
        return kind_of(root.job_type)


@strawberry.type
class Jobs:
    """A pipeline's jobs."""

    nodes: list[Job]


@strawberry.type
class Pipeline:
    """A pipeline. Its fields are attributes of the ORM row, which stands in its place."""

    status: str
    job_count: int
    error_count: int
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime
    last_error: str | None = strawberry.field(name="message")

    @strawberry.field
    @staticmethod
    def id(root: strawberry.Parent[models.Pipeline]) -> strawberry.ID:
        return global_id("Pipeline", root.id)

    @strawberry.field
    @staticmethod
    def kind(root: strawberry.Parent[models.Pipeline]) -> str:
        return kind_of(root.kind)

    @strawberry.field
    @staticmethod
    async def jobs(root: strawberry.Parent[models.Pipeline], info: Info, first: int) -> Jobs:
        rows: Any = await info.context["jobs"].load(root.id)
        return Jobs(nodes=rows[:first])


@strawberry.type
class Edge:
    """A pipeline and its cursor."""

    cursor: str
    node: Pipeline


@strawberry.type
class PageInfo:
    """End of a page."""

    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class Pipelines:
    """A page."""

    edges: list[Edge]
    nodes: list[Pipeline]
    page_info: PageInfo


@strawberry.type
class Viewer:
    """The caller."""

    id: strawberry.ID


@strawberry.type
class Query:
    """Fields that the operations ask for."""

    @strawberry.field
    def viewer(self) -> Viewer:
        return Viewer(id=global_id("User", "bench"))

    @strawberry.field
    async def pipelines(self, info: Info, first: int, after: str | None = None) -> Pipelines:
        page = (
            select(models.Pipeline)
            .where(models.Pipeline.provider == "ACCRED")
            .order_by(models.Pipeline.id.desc())
            .limit(first + 1)
        )
        if after:
            page = page.where(models.Pipeline.id < UUID(after))
        async with info.context["sessions"]() as session:
            rows = (await session.scalars(page)).all()
        nodes: Any = rows[:first]
        edges = [Edge(cursor=str(node.id), node=node) for node in nodes]
        return Pipelines(
            edges=edges, nodes=nodes, page_info=PageInfo(has_next_page=len(rows) > first, end_cursor=edges[-1].cursor)
        )


class Stock(GraphQL[dict[str, Any], None]):
    """The view with a session factory and a loader a request."""

    def __init__(self, dsn: str) -> None:
        super().__init__(strawberry.Schema(query=Query, extensions=[ParserCache, ValidationCache]))
        self.sessions = async_sessionmaker(db.create_engine(dsn, application="stock", pool_size=8), expire_on_commit=False)

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> dict[str, Any]:
        async def load(keys: Sequence[UUID]) -> list[list[models.Job]]:
            return await _jobs(self.sessions, keys)

        return {"sessions": self.sessions, "jobs": DataLoader(load_fn=load)}


async def _jobs(sessions: async_sessionmaker[AsyncSession], keys: Sequence[UUID]) -> list[list[models.Job]]:
    of: dict[UUID | None, list[models.Job]] = defaultdict(list)
    statement = select(models.Job).where(models.Job.pipeline_id.in_(keys)).order_by(models.Job.pipeline_id, models.Job.id)
    async with sessions() as session:
        for row in await session.scalars(statement):
            of[row.pipeline_id].append(row)
    return [of[key] for key in keys]


async def stock(settings: Settings, dsn: str, listener: socket.socket) -> None:
    await uvicorn.Server(processes.web(Stock(dsn))).serve([listener])
