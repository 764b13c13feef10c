"""Migrations: up, down, up again, and nothing left to migrate."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import migrate

TRIGGERS = text("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2")


@pytest.mark.parametrize("revision", ["0032", "0034"])
async def test_triggers_of_tables_that_went_and_came_are_there_again(dsn: str, engine: AsyncEngine, revision: str) -> None:
    async with engine.connect() as connection:
        before = (await connection.execute(TRIGGERS)).all()

    await migrate.downgrade(dsn, revision)
    await migrate.upgrade(dsn)

    async with engine.connect() as connection:
        assert (await connection.execute(TRIGGERS)).all() == before
    assert ("service_tokens", "service_token_revoked") in map(tuple, before)


REPLACED = {
    "0038": ["ix_pipelines_failed"],
    "0040": ["ix_pipelines_by_duration", "ix_data_ingestion_jobs_by_duration"],
}


@pytest.mark.parametrize("revision", REPLACED)
async def test_an_index_is_replaced_though_it_broke_off_before_the_new_one_had_its_name(
    dsn: str, engine: AsyncEngine, revision: str
) -> None:
    await migrate.downgrade(dsn, f"{int(revision) - 1:04}")
    async with engine.begin() as connection:
        for name in REPLACED[revision]:
            await connection.execute(text(f"ALTER INDEX {name} RENAME TO {name}_built"))

    await migrate.upgrade(dsn)

    async with engine.connect() as connection:
        indexes = (await connection.scalars(text("SELECT indexrelid::regclass::text FROM pg_index"))).all()
        assert await connection.run_sync(migrate.differences) == []
    assert {*REPLACED[revision]} <= {*indexes}
    assert [name for name in indexes if name.endswith("_built")] == []


async def test_up_down_and_up_again_ends_at_the_models(dsn: str, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        triggers = (await connection.execute(TRIGGERS)).all()

    await migrate.downgrade(dsn, "base")
    async with engine.connect() as connection:
        left = await connection.scalars(
            text("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic%'")
        )
        assert left.all() == []
        types = await connection.scalars(
            text("SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'")
        )
        assert types.all() == []

    await migrate.upgrade(dsn)

    async with engine.connect() as connection:
        assert await connection.run_sync(migrate.current_revision) == migrate.head_revision()
        assert await connection.run_sync(migrate.differences) == []
        assert (await connection.execute(TRIGGERS)).all() == triggers


async def test_minted_ids_are_uuid7_and_in_the_order_of_time(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        minted = (await connection.scalars(text("SELECT gql_uuid7() FROM generate_series(1, 1000)"))).all()
        at = await connection.scalar(text("SELECT extract(epoch FROM clock_timestamp()) * 1000"))

    assert {(key.version, key.variant) for key in minted} == {(7, "specified in RFC 4122")}
    assert len(set(minted)) == 1000
    prefixes = [key.int >> 64 for key in minted]
    assert prefixes == sorted(prefixes)
    assert abs(float(at) - (minted[-1].int >> 80)) < 1000
