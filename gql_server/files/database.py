"""Files in PostgreSQL, in chunks of 1 MiB: nothing more to run, and every worker reaches them."""

from collections.abc import AsyncGenerator, AsyncIterable, Collection
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.models import UploadChunk
from gql_server.files.store import CHUNK_BYTES, FileMissing


class DatabaseStore:
    """Files over one connection: what is written belongs to the caller's transaction, in which the upload's row is first."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def put(self, upload_id: UUID, chunks: AsyncIterable[bytes]) -> None:
        seq = 0
        async for data in evenly(chunks):
            await self.connection.execute(insert(UploadChunk).values(upload_id=upload_id, seq=seq, data=data))
            seq += 1

    async def open(self, upload_id: UUID) -> AsyncGenerator[bytes]:
        data = select(UploadChunk.data).where(UploadChunk.upload_id == upload_id).order_by(UploadChunk.seq)
        rows = await self.connection.stream_scalars(data, execution_options={"yield_per": 4})
        found = False
        async for chunk in rows:
            found = True
            yield chunk
        if not found:
            raise FileMissing("the uploaded file has no content in the database")

    async def delete(self, upload_ids: Collection[UUID]) -> None:
        await self.connection.execute(delete(UploadChunk).where(UploadChunk.upload_id.in_(upload_ids)))


async def evenly(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """The same bytes in chunks of 1 MiB; only the last is shorter."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)
