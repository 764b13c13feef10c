"""GET /jobs/{jobId}/source: whoever may download gets the bytes that were uploaded, and nobody else."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import Route

from gql_server.db.models import EntityType, Provider, Storage, Upload, UploadChunk
from gql_server.http.sources import Sources
from tests import build
from tests.graphql import AUTHORITY, Client

CONTENT = (b"unit,quantity\n10208,1\n", b"10208,2\n")
ALLOWED = {"allowed": True, "code": None}


async def get(engine: AsyncEngine, job_id: int, role: str | None = "operator", **claims: Any) -> httpx.Response:
    app = Starlette(routes=[Route("/jobs/{job_id:int}/source", Sources(engine, AUTHORITY.authenticate).get)])
    headers = {"Authorization": f"Bearer {AUTHORITY.mint(role, **claims)}"} if role else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as client:
        return await client.get(f"/jobs/{job_id}/source")


async def permission(engine: AsyncEngine, job_id: int, role: str = "operator", **claims: Any) -> Any:
    query = "query ($id: Int!) { job(by: { jobId: $id }) { viewerCan { downloadSource { allowed code } } } }"
    job = (await Client(engine, role, **claims).query(query, id=job_id))["job"]
    return job and job["viewerCan"]["downloadSource"]


@pytest.fixture
async def upload_id(engine: AsyncEngine) -> UUID:
    async with engine.begin() as connection:
        new = insert(Upload).values(provider=Provider.DEFAULT, filename='é "1".csv', storage=Storage.DATABASE)
        upload_id = (await connection.execute(new.returning(Upload.id))).scalar_one()
        chunks = [{"upload_id": upload_id, "seq": seq, "data": data} for seq, data in enumerate(CONTENT)]
        await connection.execute(insert(UploadChunk), chunks)
    return upload_id


async def test_the_file_comes_as_it_was_uploaded_under_its_name(engine: AsyncEngine, upload_id: UUID):
    async with engine.begin() as connection:
        job_id = await build.job(connection, await build.pipeline(connection), upload_id=upload_id)

    response = await get(engine, job_id)

    assert (response.status_code, response.content) == (200, b"".join(CONTENT))
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%A9%20%221%22.csv"
    assert response.headers["content-type"].startswith("text/csv")
    assert (response.headers["x-content-type-options"], response.headers["cache-control"]) == ("nosniff", "no-store")
    assert await permission(engine, job_id) == ALLOWED


@pytest.mark.parametrize("job_id", [1, 10**20 - 1])
async def test_who_has_no_token_is_asked_for_one_whatever_the_job(engine: AsyncEngine, job_id: int):
    response = await get(engine, job_id, role=None)

    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_principal_gets_the_files_of_their_unit_alone(engine: AsyncEngine, upload_id: UUID):
    async with engine.begin() as connection:
        specific = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "A", "module_type_id": 8}
        own = await build.job(connection, await build.pipeline(connection, **specific), upload_id=upload_id, module_type_id=8)
        wide = await build.job(connection, await build.pipeline(connection), upload_id=upload_id)

    assert (await get(engine, own, "principal", unit="A")).content == b"".join(CONTENT)
    assert await permission(engine, own, "principal", unit="A") == ALLOWED
    for role, claims in (("principal", {"unit": "B"}), ("operator", {"provider": "TEST"}), ("standard", {})):
        response = await get(engine, own, role, **claims)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "NOT_FOUND")
        assert await permission(engine, own, role, **claims) is None
    assert (await get(engine, wide, "principal", unit="A")).status_code == 404
    assert (await get(engine, wide, None)).status_code == 401


async def test_what_is_not_kept_or_was_never_read_is_not_found(engine: AsyncEngine, upload_id: UUID):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        pruned = await build.job(connection, pipeline_id, upload_id=upload_id)
        without = await build.job(connection, pipeline_id)
        await connection.execute(update(Upload).values(pruned_at=datetime.now(UTC)))

    for job_id in (pruned, without):
        assert (await get(engine, job_id)).status_code == 404
        assert await permission(engine, job_id) == {"allowed": False, "code": "NOT_AVAILABLE"}
    for unknown in (2**31 - 1, 2**31, 10**30):
        assert (await get(engine, unknown)).status_code == 404
