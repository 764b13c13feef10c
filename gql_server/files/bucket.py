"""Files in an S3-compatible bucket: one object an upload, sent in parts and read as a stream."""

from collections.abc import AsyncGenerator, AsyncIterable, Collection, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from obstore.exceptions import BaseError
from obstore.store import S3Store

from gql_server.files.store import CHUNK_BYTES, FileMissing, StoreUnavailable

if TYPE_CHECKING:
    from obstore.store import S3Config

PART_BYTES = 5 * CHUNK_BYTES
PARTS_AT_A_TIME = 2

log = structlog.get_logger(__name__)


class BucketStore:
    """Files in a bucket, under a prefix."""

    def __init__(self, bucket: S3Store) -> None:
        self.bucket = bucket

    async def put(self, upload_id: UUID, chunks: AsyncIterable[bytes]) -> None:
        with _reaching("put"):
            await self.bucket.put_async(str(upload_id), chunks, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_A_TIME)

    async def open(self, upload_id: UUID) -> AsyncGenerator[bytes]:
        with _reaching("open"):
            try:
                found = await self.bucket.get_async(str(upload_id))
            except FileNotFoundError:
                raise FileMissing("the uploaded file is not in the bucket") from None
            async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                yield chunk

    async def delete(self, upload_ids: Collection[UUID]) -> None:
        if upload_ids:
            with _reaching("delete"):
                await self.bucket.delete_async([str(upload_id) for upload_id in upload_ids])


def open_bucket(
    url: str,
    *,
    endpoint: str | None = None,
    region: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
) -> BucketStore:
    """The bucket of s3://bucket/prefix. Without keys, those of the machine are used. Nothing is asked of it yet."""
    config: S3Config = {}
    if endpoint:
        config["endpoint"] = endpoint
    if region:
        config["region"] = region
    if access_key_id and secret_access_key:
        config["access_key_id"] = access_key_id
        config["secret_access_key"] = secret_access_key
    parts = urlsplit(url)
    store = S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=config,
        client_options={
            "allow_http": bool(endpoint and endpoint.startswith("http://")),
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=30),
            "timeout": timedelta(minutes=10),
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
    )
    return BucketStore(store)


@contextmanager
def _reaching(verb: str) -> Generator[None]:
    """The library's errors are long and name addresses: the log has them, the caller a sentence."""
    try:
        yield
    except (BaseError, OSError) as error:
        log.warning("files.unavailable", verb=verb, error=str(error).partition("\n")[0])
        raise StoreUnavailable("the bucket of uploaded files cannot be reached") from error
