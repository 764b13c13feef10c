"""Uploads and their bytes, wherever each row says they are."""

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.db.models import TIME_ORDERED_ID, Storage, Upload
from gql_server.files.database import DatabaseStore
from gql_server.files.store import FileMissing, FileStore, StoreUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """A file that was received."""

    provider: str
    filename: str
    size_bytes: int
    sha256: str
    created_by: Mapping[str, Any] | None


class Files:
    """Every upload of a database. New ones go to the bucket if there is one; old ones are read where they are."""

    def __init__(self, engine: AsyncEngine, bucket: FileStore | None = None) -> None:
        self.engine = engine
        self.bucket = bucket

    @asynccontextmanager
    async def adding(self, upload: NewUpload, chunks: AsyncIterable[bytes]) -> AsyncGenerator[tuple[AsyncConnection, UUID]]:
        """A transaction that holds the new upload; what the caller adds commits with it. Raises StoreUnavailable.

        The bucket is first and the row second, so that a crash leaves an object nobody knows, never a row without bytes.
        """
        upload_id = await self._mint()
        if self.bucket is not None:
            await self.bucket.put(upload_id, chunks)
        async with self.engine.begin() as connection:
            await self._insert(connection, upload_id, upload)
            if self.bucket is None:
                await DatabaseStore(connection).put(upload_id, chunks)
            try:
                yield connection, upload_id
            except BaseException:
                # Rolled back for certain, unlike a commit whose answer was lost.
                await self._discard(upload_id)
                raise

    async def open(self, upload_id: UUID) -> AsyncGenerator[bytes]:
        """The bytes in order; close the generator when not reading to the end. Raises FileMissing, StoreUnavailable."""
        async with self.engine.connect() as connection:
            storage = await self._storage_of(connection, upload_id)
            if storage == Storage.DATABASE:
                async with aclosing(DatabaseStore(connection).open(upload_id)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
        if self.bucket is None:
            raise FileMissing("the uploaded file is in a bucket, and this worker was given none: set GQL_FILES_BUCKET_URL")
        async with aclosing(self.bucket.open(upload_id)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _mint(self) -> UUID:
        async with self.engine.connect() as connection:
            return (await connection.execute(select(TIME_ORDERED_ID))).scalar_one()

    async def _insert(self, connection: AsyncConnection, upload_id: UUID, upload: NewUpload) -> None:
        values = {
            "id": upload_id,
            "provider": upload.provider,
            "filename": upload.filename,
            "size_bytes": upload.size_bytes,
            "sha256": upload.sha256,
            "created_by": upload.created_by,
            "storage": Storage.DATABASE if self.bucket is None else Storage.BUCKET,
        }
        await connection.execute(insert(Upload).values(values))

    async def _discard(self, upload_id: UUID) -> None:
        if self.bucket is not None:
            with suppress(StoreUnavailable):
                await self.bucket.delete([upload_id])

    @staticmethod
    async def _storage_of(connection: AsyncConnection, upload_id: UUID) -> str:
        statement = select(Upload.storage, Upload.filename, Upload.pruned_at).where(Upload.id == upload_id)
        row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise FileMissing("there is no such upload")
        if row.pruned_at is not None:
            raise FileMissing(f"the uploaded file {row.filename} was pruned on {row.pruned_at:%Y-%m-%d}: upload it again")
        return row.storage
