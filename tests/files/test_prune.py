"""Uploads that lose their bytes, and their times."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult, JobState
from gql_server.files import FileMissing, Files, StoreUnavailable
from gql_server.files.bucket import BucketStore
from gql_server.files.prune import prune
from tests import build
from tests.files.conftest import bucket_at
from tests.files.test_uploads import NEW, content, objects, read

RETENTION = timedelta(days=30)


async def add(files: Files, *, days: int, **job: object) -> UUID:
    """An upload of that age, with a job if one is given."""
    async with files.adding(NEW, content()) as (connection, upload_id):
        aged = text("UPDATE uploads SET created_at = clock_timestamp() - make_interval(days => :days) WHERE id = :id")
        await connection.execute(aged, {"days": days, "id": upload_id})
        if job:
            await build.job(connection, upload_id=upload_id, **job)
    return upload_id


async def kept(engine: AsyncEngine) -> set[UUID]:
    async with engine.connect() as connection:
        return set((await connection.scalars(text("SELECT id FROM uploads WHERE pruned_at IS NULL"))).all())


@pytest.fixture(params=["database", "bucket"])
def files(request: pytest.FixtureRequest, engine: AsyncEngine) -> Files:
    """Files in either place."""
    return Files(engine, request.getfixturevalue("bucket") if request.param == "bucket" else None)


async def test_old_finished_and_never_used_uploads_lose_their_bytes_and_no_others(files: Files) -> None:
    shared = await add(files, days=31, result=JobResult.ERROR)
    async with files.engine.begin() as connection:
        await build.job(connection, upload_id=shared, state=JobState.NOT_STARTED)
    needed = {
        shared,
        await add(files, days=29, result=JobResult.SUCCESS),
        await add(files, days=31, state=JobState.RUNNING),
        await add(files, days=0),
    }
    unneeded = {await add(files, days=31, result=JobResult.SUCCESS), await add(files, days=2)}

    assert await prune(files, RETENTION) == 2

    assert await kept(files.engine) == needed
    for upload_id in needed:
        assert await read(files, upload_id) == b"content"
    for upload_id in unneeded:
        with pytest.raises(FileMissing, match=r"the uploaded file a\.csv was pruned on \d{4}-\d\d-\d\d: upload it again"):
            await read(files, upload_id)


async def test_pruning_again_does_nothing_and_a_run_is_bounded(files: Files) -> None:
    await add(files, days=40, state=JobState.NOT_STARTED)
    for _ in range(3):
        await add(files, days=31, result=JobResult.SUCCESS)

    assert [await prune(files, RETENTION, most=1) for _ in range(4)] == [1, 1, 1, 0]

    async with files.engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM uploads")) == 4
        assert await connection.scalar(text("SELECT count(*) FROM upload_chunks")) == (files.bucket is None)
    if isinstance(files.bucket, BucketStore):
        assert len(await objects(files.bucket)) == 1


async def test_a_bucket_that_is_away_keeps_its_rows_and_does_not_hold_up_the_database(
    engine: AsyncEngine, bucket: BucketStore
) -> None:
    await add(Files(engine), days=31, result=JobResult.SUCCESS)
    in_bucket = await add(Files(engine, bucket), days=31, result=JobResult.SUCCESS)

    with pytest.raises(StoreUnavailable):
        await prune(Files(engine, bucket_at("http://127.0.0.1:9", "nowhere")), RETENTION)

    assert await kept(engine) == {in_bucket}
    assert await read(Files(engine, bucket), in_bucket) == b"content"


async def test_a_job_that_refers_to_an_upload_at_the_last_moment_keeps_it(engine: AsyncEngine) -> None:
    files = Files(engine)
    upload_id = await add(files, days=31)
    async with engine.begin() as connection:
        await build.job(connection, upload_id=upload_id, state=JobState.NOT_STARTED)
        assert await prune(files, RETENTION) == 0

    assert await prune(files, RETENTION) == 0
    assert await kept(engine) == {upload_id}
