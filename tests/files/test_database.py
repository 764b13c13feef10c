"""Files in the database."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.db.models import Upload, UploadChunk
from gql_server.files import FileMissing
from gql_server.files.database import DatabaseStore

MIB = 1024 * 1024


async def odd_pieces(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, 700_001):
        yield bytes(min(700_001, size - start))


async def upload(connection: AsyncConnection) -> UUID:
    row = insert(Upload).values(provider="TEST", filename="a").returning(Upload.id)
    return (await connection.execute(row)).scalar_one()


async def test_pieces_of_any_size_are_kept_in_chunks_of_one_mebibyte(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        upload_id = (
            await connection.execute(insert(Upload).values(provider="TEST", filename="a").returning(Upload.id))
        ).scalar_one()
        await DatabaseStore(connection).put(upload_id, odd_pieces(2 * MIB + 5))

    async with engine.connect() as connection:
        chunks = (await connection.execute(select(UploadChunk.seq, UploadChunk.data).order_by(UploadChunk.seq))).all()
        assert [(chunk.seq, len(chunk.data)) for chunk in chunks] == [(0, MIB), (1, MIB), (2, 5)]
        assert [len(chunk) async for chunk in DatabaseStore(connection).open(upload_id)] == [MIB, MIB, 5]


async def test_a_reader_that_stops_early_leaves_the_connection_usable(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        upload_id = (
            await connection.execute(insert(Upload).values(provider="TEST", filename="a").returning(Upload.id))
        ).scalar_one()
        store = DatabaseStore(connection)
        await store.put(upload_id, odd_pieces(9 * MIB))
        async with aclosing(store.open(upload_id)) as chunks:
            assert len(await anext(chunks)) == MIB

        await store.delete([upload_id])
        with pytest.raises(FileMissing, match="no content in the database"):
            _ = [chunk async for chunk in store.open(upload_id)]
