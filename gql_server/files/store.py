"""Interface of a place for files."""

from collections.abc import AsyncGenerator, AsyncIterable, Collection
from typing import Protocol
from uuid import UUID

CHUNK_BYTES = 1024 * 1024

BUCKET = "files_bucket"
"""Name of the bucket among a worker's resources."""


class FileMissing(Exception):
    """There are no bytes: pruned, or never there. The message is for an operator."""


class StoreUnavailable(OSError):
    """The place cannot be reached, or refuses us."""


class FileStore(Protocol):
    """A place for files, by upload. Everything is streamed; a chunk is of any size that fits in memory."""

    async def put(self, upload_id: UUID, chunks: AsyncIterable[bytes]) -> None:
        """Keep all of it, or nothing. Raises StoreUnavailable."""
        ...

    def open(self, upload_id: UUID) -> AsyncGenerator[bytes]:
        """The bytes in order; close the generator when not reading to the end. Raises FileMissing, StoreUnavailable."""
        ...

    async def delete(self, upload_ids: Collection[UUID]) -> None:
        """Remove the bytes; those that are not there are no error. Raises StoreUnavailable."""
        ...
