"""Ledgers with failures, classified as the sweep does."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import models
from gql_server.db.models import JobResult, JobType
from gql_server.ledger.failures.record import record_left_over
from tests import build

DEADLOCK = "deadlock detected"
NOW = datetime.now(UTC)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


Fail = Callable[..., Awaitable[UUID]]


@pytest.fixture
def fail(engine: AsyncEngine) -> Fail:
    """A pipeline of that kind and scope in which the root failed with this message, so many hours ago."""

    async def fail(message: str = DEADLOCK, hours: float = 0, *, times: int = 1, job: Any = None, **values: Any) -> UUID:
        async with engine.begin() as connection:
            pipeline_id = await build.pipeline(connection, **values)
            shared = {name: values[name] for name in ("provider", "entity_type", "module_type_id", "year") if name in values}
            for _ in range(times):
                await build.job(
                    connection,
                    pipeline_id,
                    job_type=values.get("kind", JobType.CSV_INGEST),
                    status_message=message,
                    finished_at=ago(hours),
                    **({"result": JobResult.ERROR} | shared | (job or {})),
                )
            await build.settle(connection, pipeline_id)
        await record_left_over(engine)
        return pipeline_id

    return fail


@pytest.fixture
def revision(engine: AsyncEngine) -> Callable[[str, float], Awaitable[None]]:
    """A revision whose first worker began so many hours ago."""

    async def revision(name: str, hours: float) -> None:
        async with engine.begin() as connection:
            await connection.execute(insert(models.Revision).values(revision=name, started_at=ago(hours)))

    return revision
