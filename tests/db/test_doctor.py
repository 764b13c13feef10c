"""Findings of doctor are what `serve` and `worker` would meet."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.doctor import Finding, examine

READ_ONLY = """DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$"""


async def examined(dsn: str) -> dict[str, Finding]:
    return {finding.check: finding async for finding in examine(dsn)}


async def test_a_database_that_can_be_worked_with_is_in_order(dsn: str) -> None:
    assert {check: finding.ok for check, finding in (await examined(dsn)).items()} == {
        "database": True,
        "version": True,
        "settings": True,
        "statements": True,
        "migration": True,
        "writing": True,
        "clock": True,
        "listen": True,
    }


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("REVOKE INSERT ON pods FROM CURRENT_USER", "INSERT on pods"),
        ("REVOKE UPDATE, DELETE ON data_ingestion_jobs FROM CURRENT_USER", "DELETE on data_ingestion_jobs, UPDATE on"),
        ("REVOKE UPDATE ON SEQUENCE events_seq FROM CURRENT_USER", "UPDATE on events_seq"),
    ],
)
async def test_a_role_that_may_not_write_is_named_with_what_it_lacks(
    dsn: str, engine: AsyncEngine, statement: str, missing: str
) -> None:
    async with engine.begin() as connection:
        role = await connection.scalar(text("SELECT current_user"))
        await connection.execute(text(statement))

    finding = (await examined(dsn))["writing"]

    assert (finding.ok, finding.advice) == (False, f"GRANT them to {role}, or use the role that migrates")
    assert finding.detail.startswith(f"the role {role} lacks {missing}")


async def test_a_database_with_the_functions_and_triggers_of_another_version_is_to_be_migrated(
    dsn: str, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("COMMENT ON TABLE alembic_version IS 'of another version'"))

    finding = (await examined(dsn))["migration"]

    assert (finding.ok, finding.advice) == (False, "run: gql-server migrate")
    assert finding.detail == "its functions and triggers are of another version"


async def test_a_database_that_takes_no_writes_is_not_in_order(dsn: str, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(READ_ONLY))

    finding = (await examined(dsn))["writing"]

    assert (finding.ok, finding.detail, finding.advice) == (False, "it is read-only", "connect to the primary")
