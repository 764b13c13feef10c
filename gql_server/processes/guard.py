"""The guard of the embedded database."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from rich.console import Console

from gql_server.db import embedded
from gql_server.settings import Settings

GUARD_SECONDS = 2

err = Console(stderr=True, soft_wrap=True)


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
                err.print("the embedded PostgreSQL had stopped; it was started again", style="yellow")
        except embedded.EmbeddedError as error:
            err.print(f"the embedded PostgreSQL has stopped: {error}", style="red", markup=False)
