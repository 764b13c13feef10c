"""The audits of the reference implementation of GraphQL over HTTP, against a server of ours."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.site import Site, opened

pytestmark = pytest.mark.audits

FOLDER = Path(__file__).parent
NODE = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


async def _audits(site: Site) -> list[dict[str, Any]]:
    assert NODE, "Node comes with the development tools"
    process = await asyncio.create_subprocess_exec(
        *(NODE, "audit.js"),
        cwd=FOLDER,
        env={**os.environ, **site.environment, "GQL_URL": site.url},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    return [json.loads(line) for line in output.decode().splitlines()]


async def test_every_audit_of_graphql_over_http_is_passed(dsn: str, engine: AsyncEngine, tmp_path: Path):
    async with opened(dsn, engine, tmp_path) as site:
        await site.serve("api")
        audits = await _audits(site)

    assert [audit for audit in audits if audit["status"] != "ok"] == []
    assert len(audits) == 61
