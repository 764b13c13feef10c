"""The guard of the embedded database."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from gql_server.db import embedded
from gql_server.logs import announce
from gql_server.settings import Settings

GUARD_SECONDS = 2


@contextlib.asynccontextmanager
async def guarding(settings: Settings) -> AsyncGenerator[None]:
    """Keeps the embedded database up while we use it; a given one is its owner's business."""
    if settings.database_url is not None:
        yield
        return
    guard = asyncio.create_task(_guard(settings.data_dir))
    try:
        yield
    finally:
        guard.cancel()
        await asyncio.gather(guard, return_exceptions=True)


async def _guard(data_dir: Path) -> None:
    while True:
        await asyncio.sleep(GUARD_SECONDS)
        try:
            if await asyncio.to_thread(embedded.revive, data_dir):
                announce("the embedded PostgreSQL had stopped; it was started again", "database.revived", style="yellow")
        except embedded.EmbeddedError as error:
            announce(f"the embedded PostgreSQL has stopped: {error}", "database.stopped", style="red", reason=str(error))
