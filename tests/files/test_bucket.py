"""Files in a real bucket."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from gql_server.files import FileMissing, StoreUnavailable
from gql_server.files.bucket import BucketStore
from tests.files.conftest import bucket_at

MIB = 1024 * 1024


async def mebibytes(number: int) -> AsyncIterator[bytes]:
    for value in range(number):
        yield bytes([value]) * MIB


async def read(bucket: BucketStore, upload_id: object) -> bytes:
    return b"".join([chunk async for chunk in bucket.open(upload_id)])  # type: ignore[arg-type]


async def test_a_file_is_sent_in_parts_and_comes_back_whole(bucket: BucketStore) -> None:
    upload_id = uuid4()

    await bucket.put(upload_id, mebibytes(12))

    assert await read(bucket, upload_id) == b"".join([chunk async for chunk in mebibytes(12)])
    head = await bucket.bucket.head_async(str(upload_id))
    assert str(head["e_tag"]).strip('"').endswith("-3")


async def test_a_sender_that_breaks_off_leaves_no_file(bucket: BucketStore) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        async for chunk in mebibytes(7):
            yield chunk
        raise ValueError("the sender went away")

    upload_id = uuid4()
    with pytest.raises(ValueError, match="the sender went away"):
        await bucket.put(upload_id, breaking())

    with pytest.raises(FileMissing, match="the uploaded file is not in the bucket"):
        await read(bucket, upload_id)


async def test_what_is_deleted_is_gone_and_deleting_it_again_is_no_error(bucket: BucketStore) -> None:
    kept, gone = uuid4(), uuid4()
    for upload_id in (kept, gone):
        await bucket.put(upload_id, mebibytes(1))

    await bucket.delete([gone])
    await bucket.delete([gone])
    await bucket.delete([])

    assert len(await read(bucket, kept)) == MIB
    with pytest.raises(FileMissing):
        await read(bucket, gone)


async def test_a_bucket_that_cannot_be_reached_says_so_without_its_address(s3: str) -> None:
    for bucket in (bucket_at("http://127.0.0.1:9", "nowhere"), bucket_at(s3, "no-such-bucket")):
        with pytest.raises(StoreUnavailable) as refused:
            await bucket.put(uuid4(), mebibytes(1))

        assert str(refused.value) == "the bucket of uploaded files cannot be reached"
