"""Entries from an institution's API: the same path as a file's, another source."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from gql_server import ledger
from gql_server.db.models import EntityType, IngestionMethod, TargetType
from gql_server.handlers.api import ENTRY_SOURCES
from gql_server.ledger import NewJob, claims
from gql_server.worker import ClaimedJob, registry
from gql_server.worker.attempt import Runner
from tests.handlers.conftest import PROCESS_FACTORS, World

PROCESS = "unit_institutional_id,category,subcategory,quantity,note\n"


@dataclass
class Rows:
    """A source that gives these rows, then fails if it is told to."""

    rows_: list[dict[str, str]]
    failure: Exception | None = None
    asked: list[int | None] = field(default_factory=list)

    async def rows(self, job: ClaimedJob) -> AsyncIterator[Mapping[str, str]]:
        self.asked.append(job.year)
        for row in self.rows_:
            yield row
        if self.failure is not None:
            raise self.failure


class Refused:
    """A source whose server is not there: a real connection, refused."""

    async def rows(self, job: ClaimedJob) -> AsyncIterator[Mapping[str, str]]:
        async with httpx.AsyncClient() as client:
            await client.get("http://127.0.0.1:9/entries")
        yield {}


def co2(unit: str, quantity: str) -> dict[str, str]:
    return {"Unit_Institutional_Id": unit, "category": " CO2 ", "quantity": quantity, "note": ""}


async def ingest(world: World, source: Any, **values: Any) -> UUID:
    """Run an api_ingest over this source, and what it chains; returns the pipeline."""
    defaults: dict[str, Any] = {
        "job_type": "api_ingest",
        "provider": "ACCRED",
        "ingestion_method": IngestionMethod.API,
        "target_type": TargetType.DATA_ENTRIES,
        "module_type_id": 8,
        "year": 2025,
    }
    new = NewJob(**{**defaults, **values})
    async with world.engine.begin() as connection:
        submitted = await ledger.submit(connection, new, registry["api_ingest"].locks(new))
    sources = {} if source is None else {("ACCRED", 8): source}
    runner = Runner(world.engine, registry, "w1", {ENTRY_SOURCES: sources})
    while True:
        async with world.engine.begin() as connection:
            claimed = await claims.claim(connection, "w1", registry.names, 1)
        if not claimed:
            return submitted.pipeline_id
        await runner.run(claimed[0])


async def entries(world: World) -> list[tuple[int, float]]:
    """Source and quantity of every entry."""
    rows = await world.query("SELECT source, (data ->> 'quantity')::float8 AS quantity FROM data_entries ORDER BY 1, 2")
    return [(row.source, row.quantity) for row in rows]


async def test_entries_of_an_api_become_emissions_and_totals(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    source = Rows([co2("10208", "100"), {}, co2("99999", "1")])

    pipeline_id = await ingest(world, source)

    assert source.asked == [2025]
    assert await world.totals(8) == {"10208": (150.0, 1, 150.0)}
    assert [job.job_type for job in await world.jobs(pipeline_id)] == ["api_ingest", "emission_recalc", "aggregation"]
    root = await world.root(pipeline_id)
    assert (root.result, root.status_message) == ("WARNING", "WARNING: 1 inserted, 1 skipped — first error: unknown unit 99999")
    assert await world.row_errors(pipeline_id) == [(3, "unknown unit 99999")]


async def test_an_api_replaces_only_its_own_entries_and_a_file_only_its_own(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", PROCESS + "10208,CO2,,10,\n")
    async with world.engine.begin() as connection:
        await connection.execute(
            text("""INSERT INTO data_entries
                      (provider, data_entry_type_id, carbon_report_module_id, data, year, unit_id, source)
                    SELECT provider, data_entry_type_id, carbon_report_module_id, data, year, unit_id, 0 FROM data_entries""")
        )
    await ingest(world, Rows([co2("10208", "20"), co2("10209", "21")]))
    of_unit = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "config": {"unit_institutional_id": "10208"}}
    await ingest(world, Rows([co2("10208", "30")]), **of_unit)

    await ingest(world, Rows([co2("10208", "40")]))
    assert await entries(world) == [(0, 10.0), (1, 10.0), (3, 40.0), (4, 30.0)]

    await world.upload("process_emissions", PROCESS + "10208,CO2,,50,\n")
    assert await entries(world) == [(0, 10.0), (1, 50.0), (3, 40.0), (4, 30.0)]
    assert await world.totals(8) == {"10208": (195.0, 4, 195.0), "10209": (0.0, 0, 0.0)}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "provider ACCRED has no source of process_emissions entries"),
        (Refused(), "the source of entries cannot be reached: All connection attempts failed"),
        (Rows([co2("10208", "1")], ConnectionResetError("peer reset")), "the source of entries cannot be reached: peer reset"),
        (Rows([co2("10208", "1")], OSError("x" * 999)), f"the source of entries cannot be reached: {'x' * 200}"),
        (Rows([]), "the source of entries gave no rows"),
        (Rows([co2("10208", "1\0")]), "row 1 of the source contains NUL characters"),
    ],
)
async def test_a_source_that_fails_ends_the_job_with_one_sentence_and_changes_nothing(
    world: World, source: Any, message: str
) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    await ingest(world, Rows([co2("10208", "100")]))

    pipeline_id = await ingest(world, source)

    root = await world.root(pipeline_id)
    assert (root.state, root.result, root.status_message) == ("FINISHED", "ERROR", message)
    assert await entries(world) == [(3, 100.0)]
    assert await world.totals(8) == {"10208": (150.0, 1, 150.0)}
