"""A provisioned year over a directory of three units, and a worker that runs what is uploaded."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import handlers
from gql_server.carbon.catalog import module_by_key
from gql_server.carbon.directory import Directory, DirectoryUnit, DirectoryUser
from gql_server.commands.ingestion import Ingestion, start_ingestion
from gql_server.commands.years import create_year
from gql_server.db import models
from gql_server.db.models import TargetType, Upload, UploadChunk
from gql_server.handlers.api import ENTRY_SOURCES, entry_sources
from gql_server.handlers.units import UNIT_SOURCES
from gql_server.ledger import claims
from gql_server.policy import Role, Viewer, permissions_of
from gql_server.worker import registry
from gql_server.worker.attempt import Runner

YEAR = 2025
UNITS = ("10208", "10209", "10210")
OPERATOR = Viewer("operator", "ACCRED", permissions_of(Role.OPERATOR, None), "Opéra Teur", "operator@example.org")
assert handlers.__all__

PROCESS_FACTORS = "category,subcategory,unit,ef_kg_co2eq_per_unit\nCO2,,kg,1.5\nCH4,,kg,28\n"
EQUIPMENT_FACTORS = (
    "equipment_category,equipment_class,sub_class,active_power_w,standby_power_w,ef_kg_co2eq_per_kwh\n"
    "scientific,Microscope,Confocal,100,10,0.1\nit,Server,,200,50,0.1\nother,Fridge,,80,80,0.1\n"
)
PURCHASE_FACTORS = (
    "currency,purchase_category,purchase_institutional_code,purchase_institutional_description,purchase_additional_code,"
    "ef_kg_co2eq_per_currency\neur,services,S100,Conseil,,0.5\n"
)


class SmallDirectory:
    """Three units, one of them with a principal."""

    async def pages(self) -> AsyncIterator[Directory]:
        units = [
            DirectoryUnit(f"LAB{code}", code, f"Laboratoire n° {code}", 4, "EPFL", f"EPFL LAB{code}", "Laboratoire", None)
            for code in UNITS
        ]
        units[0] = DirectoryUnit("LAB10208", "10208", "Labo, l'été", 4, "EPFL", "EPFL LAB10208", "Laboratoire", "100001")
        yield Directory(tuple(units), (DirectoryUser("100001", "ada@example.org", "Ada Étienne"),))


@dataclass
class World:
    """One provider's data, reached only through commands and jobs."""

    engine: AsyncEngine

    async def create_year(self, year: int = YEAR, sources: dict[str, Any] | None = None) -> UUID:
        async with self.engine.begin() as connection:
            submitted = await create_year(connection, registry, OPERATOR, year)
        await self.drain(sources)
        return submitted.pipeline_id

    async def upload(self, module: str, content: str | bytes, **ingestion: Any) -> UUID:
        """Upload a file and let everything it starts run; returns the pipeline."""
        pipeline_id = await self.submit(module, content, **ingestion)
        await self.drain()
        return pipeline_id

    async def submit(self, module: str, content: str | bytes, **ingestion: Any) -> UUID:
        known = module_by_key(module)
        assert known is not None
        data = content.encode() if isinstance(content, str) else content
        async with self.engine.begin() as connection:
            digest = hashlib.sha256(data).hexdigest()
            values = {
                "provider": "ACCRED",
                "filename": ingestion.pop("filename", "test.csv"),
                "size_bytes": len(data),
                "sha256": digest,
            }
            upload_id = await connection.scalar(insert(Upload).values(values).returning(Upload.id))
            assert upload_id is not None
            await connection.execute(insert(UploadChunk).values(upload_id=upload_id, seq=0, data=data))
            given: dict[str, Any] = {"year": YEAR, "module_type_id": known.id, **ingestion}
            wanted = Ingestion(**given)
            submitted = await start_ingestion(connection, registry, OPERATOR, wanted, upload_id)
        return submitted.pipeline_id

    async def factors(self, module: str, content: str) -> UUID:
        return await self.upload(module, content, target=TargetType.FACTORS)

    async def drain(self, sources: dict[str, Any] | None = None, resources: dict[str, Any] | None = None) -> None:
        units = {"ACCRED": SmallDirectory()} if sources is None else sources
        resources = {UNIT_SOURCES: units, ENTRY_SOURCES: entry_sources, **(resources or {})}
        runner = Runner(self.engine, registry, "w1", resources)
        while True:
            async with self.engine.begin() as connection:
                claimed = await claims.claim(connection, "w1", registry.names, 1)
            if not claimed:
                return
            await runner.run(claimed[0])

    async def jobs(self, pipeline_id: UUID) -> list[Row[Any]]:
        async with self.engine.connect() as connection:
            columns = models.Job.__table__.c
            statement = select(*columns).where(columns.pipeline_id == pipeline_id).order_by(columns.id)
            return list((await connection.execute(statement)).all())

    async def root(self, pipeline_id: UUID) -> Row[Any]:
        return (await self.jobs(pipeline_id))[0]

    async def status(self, pipeline_id: UUID) -> str:
        return (await self.query("SELECT status FROM pipelines WHERE id = :id", id=pipeline_id))[0].status

    async def query(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(text(statement), parameters)).all())

    async def totals(self, module_type_id: int) -> dict[str, tuple[float | None, int | None, float | None]]:
        """By unit: the module's total and entry count, and the total of the report above it."""
        rows = await self.query(
            """SELECT u.institutional_id AS unit, (m.stats ->> 'total')::float8 AS total,
                 (m.stats ->> 'entry_count')::int AS entries, (r.stats ->> 'total')::float8 AS report
               FROM units u JOIN carbon_reports r ON r.unit_id = u.id
               JOIN carbon_report_modules m ON m.carbon_report_id = r.id AND m.module_type_id = :module
               WHERE m.stats IS NOT NULL ORDER BY u.institutional_id""",
            module=module_type_id,
        )
        return {row.unit: (row.total, row.entries, row.report) for row in rows}

    async def row_errors(self, pipeline_id: UUID) -> list[tuple[int | None, str]]:
        rows = await self.query(
            "SELECT e.row, e.reason FROM row_errors e JOIN data_ingestion_jobs j ON j.id = e.job_id "
            "WHERE j.pipeline_id = :id ORDER BY e.id",
            id=pipeline_id,
        )
        return [(row.row, row.reason) for row in rows]


@pytest.fixture
async def world(engine: AsyncEngine) -> World:
    """A provider whose year 2025 takes uploads."""
    world = World(engine)
    await world.create_year()
    return world
