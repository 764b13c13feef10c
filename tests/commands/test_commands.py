"""Refusals of commands, which leave nothing behind."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import handlers
from gql_server.commands.ingestion import Ingestion, authorize, start_ingestion
from gql_server.commands.years import create_year
from gql_server.db.models import TargetType, Upload
from gql_server.errors import BadInput, Conflict, Forbidden, NotFound
from gql_server.policy import Role, Viewer, permissions_of
from gql_server.worker import registry
from tests.graphql import Client

assert handlers.__all__
OPERATOR = Viewer("operator", "ACCRED", permissions_of(Role.OPERATOR, None))
PRINCIPAL = Viewer("principal", "ACCRED", permissions_of(Role.PRINCIPAL, "10208"))
STANDARD = Viewer("standard", "ACCRED", permissions_of(Role.STANDARD, None))


@pytest.mark.parametrize(
    ("viewer", "wanted", "place"),
    [
        (PRINCIPAL, {}, "for all units of module process_emissions: say which unit with `unit`"),
        (PRINCIPAL, {"unit": "10209"}, "for unit 10209 of module process_emissions"),
        (PRINCIPAL, {"target": TargetType.FACTORS}, "factors of module process_emissions"),
        (PRINCIPAL, {"target": TargetType.REFERENCE_DATA}, "reference data of module process_emissions"),
        (STANDARD, {}, "for all units of module process_emissions"),
        (STANDARD, {"unit": "10208"}, "for unit 10208 of module process_emissions"),
    ],
)
def test_who_may_not_upload_is_told_what_they_may_not(viewer: Viewer, wanted: dict[str, Any], place: str) -> None:
    with pytest.raises(Forbidden) as refused:
        authorize(viewer, Ingestion(year=2025, module_type_id=8, **wanted))

    assert (refused.value.message, refused.value.details) == (
        f"you may not upload {place}",
        {"permission": "backoffice.pipeline_operations:edit"},
    )


async def provision(engine: AsyncEngine, *, completed: bool = True) -> UUID:
    """A year 2025 with one unit, and an upload waiting; returns the upload."""
    async with engine.begin() as connection:
        await create_year(connection, registry, OPERATOR, 2025)
        await connection.execute(
            text("INSERT INTO units (provider, institutional_code, institutional_id, name, level, path) "
                 "VALUES ('ACCRED', 'L1', '10208', 'L1', 4, 'L1')")
        )  # fmt: skip
        if completed:
            await connection.execute(text("UPDATE year_configuration SET configuration_completed = now()"))
        values = {"provider": "ACCRED", "filename": "a.csv"}
        upload_id = await connection.scalar(insert(Upload).values(values).returning(Upload.id))
    assert upload_id is not None
    return upload_id


async def start(engine: AsyncEngine, viewer: Viewer, upload_id: UUID, **values: Any) -> Any:
    async with engine.begin() as connection:
        given: dict[str, Any] = {"year": 2025, "module_type_id": 8, **values}
        wanted = Ingestion(**given)
        return await start_ingestion(connection, registry, viewer, wanted, upload_id)


async def years(engine: AsyncEngine) -> list[tuple[int, bool]]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT year, is_started FROM year_configuration"))
        return [tuple(row) for row in rows]


async def pipelines(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return (await connection.scalar(text("SELECT count(*) FROM pipelines"))) or 0


async def test_y1_a_new_year_is_closed_and_its_unit_sync_is_among_its_active_pipelines(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        submitted = await create_year(connection, registry, OPERATOR, 2025)

    client = Client(engine, "operator", provider="ACCRED")
    fields = "isStarted isProvisioned activePipelines { nodes { pipelineId kind scope { level } } }"
    year = await client.query(f"{{ yearConfiguration(by: {{ year: 2025, provider: ACCRED }}) {{ {fields} }} }}")
    sync = {"pipelineId": str(submitted.pipeline_id), "kind": "UNIT_SYNC", "scope": {"level": "GLOBAL_PER_YEAR"}}
    assert year["yearConfiguration"] == {"isStarted": False, "isProvisioned": False, "activePipelines": {"nodes": [sync]}}


async def test_y2_the_same_year_created_again_is_a_conflict(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await create_year(connection, registry, OPERATOR, 2025)

    with pytest.raises(Conflict) as conflict:
        async with engine.begin() as connection:
            await create_year(connection, registry, OPERATOR, 2025, is_started=True)

    assert conflict.value.details == {"reason": "YEAR_EXISTS", "year": 2025}
    assert await years(engine) == [(2025, False)]
    assert await pipelines(engine) == 1


async def test_y2_the_same_year_created_eight_times_at_once_is_one_year_and_seven_conflicts(engine: AsyncEngine) -> None:
    async def create() -> object:
        async with engine.begin() as connection:
            return await create_year(connection, registry, OPERATOR, 2025)

    outcomes = await asyncio.gather(*(create() for _ in range(8)), return_exceptions=True)

    conflicts = [outcome.details for outcome in outcomes if isinstance(outcome, Conflict)]
    assert conflicts == [{"reason": "YEAR_EXISTS", "year": 2025}] * 7
    assert await years(engine) == [(2025, False)]
    assert await pipelines(engine) == 1


async def test_the_same_year_of_two_providers_is_two_years(engine: AsyncEngine) -> None:
    other = Viewer("operator", "TEST", OPERATOR.permissions)
    for viewer in (OPERATOR, other):
        async with engine.begin() as connection:
            await create_year(connection, registry, viewer, 2025)

    assert await pipelines(engine) == 2


async def test_who_may_not_configure_creates_no_year(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        with pytest.raises(Forbidden):
            await create_year(connection, registry, PRINCIPAL, 2025)


@pytest.mark.parametrize(("completed", "year", "reason"), [
    (False, 2025, "YEAR_NOT_PROVISIONED"),
    (True, 2024, "YEAR_NOT_CREATED"),
])  # fmt: skip
async def test_y3_a_year_that_is_not_provisioned_takes_no_upload(
    engine: AsyncEngine, completed: bool, year: int, reason: str
) -> None:
    upload_id = await provision(engine, completed=completed)

    with pytest.raises(Conflict) as conflict:
        await start(engine, OPERATOR, upload_id, year=year)

    assert conflict.value.details == {"reason": reason, "year": year}
    assert await pipelines(engine) == 1


@pytest.mark.parametrize(("values", "message"), [
    ({"module_type_id": 99}, "unknown module 99"),
    ({"year": 1}, "year must be between 2000 and 2100"),
    ({"data_entry_type_id": 10}, "data entry type 10 is not one of module process_emissions"),
    ({"module_type_id": 1}, "module headcount: say which data entry type it is: member, student"),
    ({"module_type_id": 3}, "module buildings takes no files of data entries"),
    ({"module_type_id": 3, "target": TargetType.FACTORS}, "module buildings takes no factor files"),
    ({"module_type_id": 3, "data_entry_type_id": 30}, "module buildings takes no files of data entries"),
    ({"target": TargetType.REFERENCE_DATA}, "module process_emissions takes no files of reference data"),
    ({"module_type_id": 1, "target": TargetType.REFERENCE_DATA}, "module headcount takes no files of reference data"),
    ({"target": TargetType.REDUCTION_OBJECTIVES}, "only data entries, factors and reference data can be uploaded"),
    ({"target": TargetType.REFERENCE_DATA, "unit": "10208"}, "only data entries can be of one unit"),
    ({"unit": "99999"}, "unknown unit 99999"),
])  # fmt: skip
async def test_bad_input_is_named(engine: AsyncEngine, values: dict[str, Any], message: str) -> None:
    upload_id = await provision(engine)

    with pytest.raises(BadInput, match=message):
        await start(engine, OPERATOR, upload_id, **values)

    assert await pipelines(engine) == 1


async def test_an_upload_of_another_provider_does_not_exist(engine: AsyncEngine) -> None:
    upload_id = await provision(engine)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE uploads SET provider = 'TEST'"))

    with pytest.raises(NotFound, match="no such upload"):
        await start(engine, OPERATOR, upload_id)


async def test_a_principal_starts_only_what_they_uploaded_and_for_the_own_unit_only(engine: AsyncEngine) -> None:
    upload_id = await provision(engine)
    with pytest.raises(NotFound, match="no such upload"):
        await start(engine, PRINCIPAL, upload_id, unit="10208")
    async with engine.begin() as connection:
        await connection.execute(text("""UPDATE uploads SET created_by = '{"user_id": "principal"}'"""))

    submitted = await start(engine, PRINCIPAL, upload_id, unit="10208")

    async with engine.connect() as connection:
        unit = await connection.scalar(
            text("SELECT unit_institutional_id FROM pipelines WHERE id = :id"), {"id": submitted.pipeline_id}
        )
    assert unit == "10208"
    for refused in ({}, {"unit": "10209"}, {"unit": "10208", "target": TargetType.FACTORS}):
        with pytest.raises(Forbidden):
            await start(engine, PRINCIPAL, upload_id, **refused)
    with pytest.raises(Forbidden):
        await start(engine, STANDARD, upload_id, unit="10208")
