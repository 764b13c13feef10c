"""An upload and its bytes: both, or an object nobody knows; never a row without bytes."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import Route

from gql_server import handlers
from gql_server.commands.years import create_year
from gql_server.files import BUCKET, FileMissing, Files, FileStore, NewUpload
from gql_server.files.bucket import BucketStore
from gql_server.http.authentication import TokenAuthority
from gql_server.http.uploads import Uploads
from gql_server.ledger import claims
from gql_server.worker import registry
from gql_server.worker.attempt import Runner
from tests.files.conftest import bucket_at
from tests.handlers.conftest import OPERATOR

assert handlers.__all__
TOKENS = TokenAuthority("k" * 32, "issuer", "audience")
NEW = NewUpload(provider="ACCRED", filename="a.csv", size_bytes=7, sha256="0", created_by=None)
CSV = b"unit_institutional_id,category,subcategory,quantity,note\n10208,CO2,,100,\n"
PROCESS = {"module": "process_emissions", "year": "2025"}


async def content() -> AsyncIterator[bytes]:
    yield b"content"


async def read(files: Files, upload_id: UUID) -> bytes:
    return b"".join([chunk async for chunk in files.open(upload_id)])


async def objects(bucket: BucketStore) -> list[str]:
    return [found["path"] for found in await bucket.bucket.list().collect_async()]


async def rows(engine: AsyncEngine) -> list[tuple[str, int]]:
    """Storage and number of chunks of every upload."""
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT storage, (SELECT count(*) FROM upload_chunks c WHERE c.upload_id = u.id) AS chunks FROM uploads u")
        )
        return [(row.storage, row.chunks) for row in found]


async def post(engine: AsyncEngine, bucket: FileStore | None, **parameters: str) -> httpx.Response:
    app = Starlette(
        routes=[Route("/uploads", Uploads(engine, registry, TOKENS.authenticate, 10**8, bucket).post, methods=["POST"])]
    )
    headers = {"Authorization": f"Bearer {TOKENS.mint('operator', provider='ACCRED')}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as client:
        return await client.post("/uploads", params={**PROCESS, **parameters}, content=CSV)


async def provisioned(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await create_year(connection, registry, OPERATOR, 2025)
        await connection.execute(text("UPDATE year_configuration SET configuration_completed = now()"))
        await connection.execute(text("UPDATE data_ingestion_jobs SET state = 'FINISHED', result = 'SUCCESS'"))


async def run_next(engine: AsyncEngine, bucket: FileStore | None) -> str:
    """Run the next job; returns its message."""
    async with engine.begin() as connection:
        (job,) = await claims.claim(connection, "w1", registry.names, 1)
    await Runner(engine, registry, "w1", {BUCKET: bucket}).run(job)
    async with engine.connect() as connection:
        message = text("SELECT status_message FROM data_ingestion_jobs WHERE id = :id")
        return (await connection.execute(message, {"id": job.id})).scalar_one()


async def test_an_upload_to_a_bucket_is_ingested_from_there(engine: AsyncEngine, bucket: BucketStore) -> None:
    await provisioned(engine)

    response = await post(engine, bucket)

    assert response.status_code == 202
    assert await rows(engine) == [("bucket", 0)]
    assert await objects(bucket) == [response.json()["uploadId"]]
    # the file was read: what is missing is its factors
    assert (await run_next(engine, bucket)).startswith("there are no emission factors of entry type process_emissions")


async def test_a_file_in_the_database_is_read_there_when_new_ones_go_to_a_bucket(
    engine: AsyncEngine, bucket: BucketStore
) -> None:
    async with Files(engine).adding(NEW, content()) as (_, old):
        pass
    files = Files(engine, bucket)
    async with files.adding(NEW, content()) as (_, new):
        pass

    assert (await read(files, old), await read(files, new)) == (b"content", b"content")
    assert await rows(engine) == [("database", 1), ("bucket", 0)]
    with pytest.raises(FileMissing, match="set GQL_FILES_BUCKET_URL"):
        await read(Files(engine), new)


async def test_a_refused_upload_leaves_neither_row_nor_object(engine: AsyncEngine, bucket: BucketStore) -> None:
    await provisioned(engine)

    response = await post(engine, bucket, year="2024")

    assert response.status_code == 409
    assert (await rows(engine), await objects(bucket)) == ([], [])


async def test_a_lost_commit_leaves_at_most_an_object_nobody_knows(engine: AsyncEngine, bucket: BucketStore) -> None:
    async def add_and_lose_the_connection() -> None:
        async with Files(engine, bucket).adding(NEW, content()) as (connection, _):
            backend = await connection.scalar(text("SELECT pg_backend_pid()"))
            async with engine.begin() as other:
                await other.execute(text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})

    with pytest.raises(DBAPIError):
        await add_and_lose_the_connection()

    assert await rows(engine) == []
    assert len(await objects(bucket)) == 1


async def test_a_bucket_that_is_away_is_a_503_and_ends_a_job_with_one_sentence(
    engine: AsyncEngine, bucket: BucketStore
) -> None:
    await provisioned(engine)
    away = bucket_at("http://127.0.0.1:9", "nowhere")

    refused = await post(engine, away)
    await post(engine, bucket)

    assert refused.status_code == 503
    assert refused.json()["error"] == {"message": "the bucket of uploaded files cannot be reached", "code": "UNAVAILABLE"}
    assert await run_next(engine, away) == "the bucket of uploaded files cannot be reached"
