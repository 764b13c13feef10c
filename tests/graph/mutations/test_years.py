"""Reporting years, as a client creates, changes, opens and closes them."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.carbon.year_configuration import default_config, merge
from gql_server.db.models import Provider
from tests import build
from tests.graph.mutations.conftest import mutate, rows
from tests.graphql import Client

CREATED = "yearConfiguration { year isStarted isProvisioned config } pipeline { pipelineId kind status }"
CHANGED = "yearConfiguration { isStarted config updatedAt }"
PATCH = {"modules": {"5": {"submodules": {"60": {"threshold": 12.5}}}}}


async def provision(engine: AsyncEngine, **values: Any) -> None:
    async with engine.begin() as connection:
        await build.year(connection, 2025, **{"config": default_config(), **values})


async def create(client: Client, **values: Any) -> dict[str, Any]:
    return await mutate(client, "createYearConfiguration", CREATED, **{"year": 2025, **values})


async def update(client: Client, **values: Any) -> dict[str, Any]:
    return await mutate(client, "updateYearConfiguration", CHANGED, **{"year": 2025, **values})


async def test_y1_a_fresh_year_is_closed_and_its_unit_sync_is_live(engine: AsyncEngine) -> None:
    client = Client(engine, "operator")

    created = await create(client, config=PATCH)

    assert created["yearConfiguration"] == {
        "year": 2025,
        "isStarted": False,
        "isProvisioned": False,
        "config": merge(default_config(), PATCH),
    }
    assert (created["pipeline"]["kind"], created["pipeline"]["status"]) == ("UNIT_SYNC", "NOT_STARTED")
    active = "{ yearConfiguration(by: { year: 2025 }) { activePipelines { nodes { pipelineId } } } }"
    found = (await client.query(active))["yearConfiguration"]["activePipelines"]["nodes"]
    assert found == [{"pipelineId": created["pipeline"]["pipelineId"]}]
    [(command, target, changes)] = await rows(engine, "SELECT command, target, changes FROM audit_log")
    assert (command, target, changes["/is_started"]) == ("create_year", {"year": 2025}, {"after": False})


async def test_y2_of_eight_creations_at_once_seven_are_conflicts_that_show_the_year(engine: AsyncEngine) -> None:
    client = Client(engine, "operator")

    results = await asyncio.gather(*(create(client) for _ in range(8)))

    refused = [result for result in results if result["__typename"] == "ConflictProblem"]
    assert len(refused) == 7
    assert {result["reason"] for result in refused} == {"YEAR_EXISTS"}
    assert [result["currentYear"] for result in refused] == [{"year": 2025, "isProvisioned": False}] * 7
    assert await rows(engine, "SELECT count(*) FROM pipelines") == [(1,)]


async def test_one_key_creates_one_year_and_shows_it_as_it_is_now(engine: AsyncEngine) -> None:
    client = Client(engine, "operator")
    key = str(uuid4())

    first = await create(client, config={}, idempotencyKey=key)
    await rows(engine, "UPDATE year_configuration SET configuration_completed = now() RETURNING 1")
    again = await create(client, config={}, idempotencyKey=key)

    assert again["pipeline"] == first["pipeline"]
    assert (first["yearConfiguration"]["isProvisioned"], again["yearConfiguration"]["isProvisioned"]) == (False, True)
    assert await rows(engine, "SELECT count(*) FROM pipelines") == [(1,)]


async def test_a_key_takes_the_order_of_json_keys_and_nulls_for_the_same_input(engine: AsyncEngine) -> None:
    await provision(engine)
    client = Client(engine, "operator")
    key = str(uuid4())
    one = {"modules": {"5": {"enabled": False, "uncertainty_tag": "low"}}}
    other = {"modules": {"5": {"uncertainty_tag": "low", "enabled": False}}}

    await update(client, config=one, idempotencyKey=key)

    assert (await update(client, config=other, isStarted=None, idempotencyKey=key))["__typename"].endswith("Payload")
    assert await rows(engine, "SELECT count(*) FROM audit_log") == [(1,)]


async def test_y7_a_patch_leaves_siblings_and_a_refused_one_names_the_path(engine: AsyncEngine) -> None:
    await provision(engine)
    client = Client(engine, "operator")

    changed = await update(client, config=PATCH)
    refused = await update(client, config={"reduction_objectives": {"goals": [{"target_year": 2025}]}})

    assert changed["yearConfiguration"]["config"] == merge(default_config(), PATCH)
    assert (refused["__typename"], refused["coordinate"], refused["path"]) == (
        "InputProblem",
        "UpdateYearConfigurationInput.config",
        "/reduction_objectives/goals/0/target_year",
    )


async def test_y7_patches_of_different_keys_at_once_all_survive(engine: AsyncEngine) -> None:
    await provision(engine)
    client = Client(engine, "operator")
    places = [("5", "60"), ("5", "61"), ("5", "62"), ("4", "10"), ("4", "11"), ("8", "50")]

    def patch(module: str, entry_type: str) -> dict[str, Any]:
        return {"modules": {module: {"submodules": {entry_type: {"threshold": 7.0}}}}}

    await asyncio.gather(*(update(client, config=patch(*place)) for place in places))

    [(config,)] = await rows(engine, "SELECT config FROM year_configuration")
    assert {config["modules"][m]["submodules"][e]["threshold"] for m, e in places} == {7.0}


@pytest.mark.parametrize("config", [[], "text", 1])
async def test_settings_that_are_no_object_are_refused(engine: AsyncEngine, config: Any) -> None:
    await provision(engine)

    refused = await update(Client(engine, "operator"), config=config)

    assert (refused["coordinate"], refused["path"]) == ("UpdateYearConfigurationInput.config", "")


async def test_y9_a_year_that_is_not_provisioned_opens_neither_at_its_creation_nor_later(engine: AsyncEngine) -> None:
    client = Client(engine, "operator")

    at_once = await create(client, isStarted=True)
    assert (at_once["reason"], at_once["currentYear"]) == ("YEAR_NOT_PROVISIONED", None)
    assert await rows(engine, "SELECT 1 FROM year_configuration UNION ALL SELECT 1 FROM pipelines") == []

    await create(client)
    later = [await mutate(client, "openYear", CHANGED, year=2025), await update(client, isStarted=True)]
    for refused in later:
        assert (refused["reason"], refused["retryable"]) == ("YEAR_NOT_PROVISIONED", True)
        assert refused["currentYear"] == {"year": 2025, "isProvisioned": False}


async def test_a_provisioned_year_is_opened_and_closed(engine: AsyncEngine) -> None:
    await provision(engine)
    client = Client(engine, "operator")

    opened = await mutate(client, "openYear", CHANGED, year=2025)
    closed = await mutate(client, "closeYear", CHANGED, year=2025)

    assert (opened["__typename"], opened["yearConfiguration"]["isStarted"]) == ("OpenYearPayload", True)
    assert (closed["__typename"], closed["yearConfiguration"]["isStarted"]) == ("CloseYearPayload", False)


async def test_what_changed_since_it_was_read_is_not_overwritten(engine: AsyncEngine) -> None:
    await provision(engine)
    client = Client(engine, "operator")
    read_at = (await update(client))["yearConfiguration"]["updatedAt"]

    first = await update(client, config=PATCH, expectedUpdatedAt=read_at)
    second = await update(client, config={"modules": {"5": {"enabled": False}}}, expectedUpdatedAt=read_at)

    assert first["__typename"] == "UpdateYearConfigurationPayload"
    assert (second["reason"], second["currentYear"]["year"]) == ("CHANGED", 2025)
    [(config,)] = await rows(engine, "SELECT config FROM year_configuration")
    assert config == merge(default_config(), PATCH)


async def test_another_provider_s_year_is_not_found(engine: AsyncEngine) -> None:
    await provision(engine, provider=Provider.TEST)
    client = Client(engine, "operator")
    asked = [
        ("updateYearConfiguration", CHANGED),
        ("openYear", CHANGED),
        ("closeYear", CHANGED),
        ("syncUnits", "pipeline { id }"),
    ]

    for year in (2025, 2024):
        results = [await mutate(client, field, shown, year=year) for field, shown in asked]
        assert [result["__typename"] for result in results] == ["NotFoundProblem"] * 4
        assert {result["message"] for result in results} == {f"there is no year {year}"}
    assert (await create(client))["__typename"] == "CreateYearConfigurationPayload"


@pytest.mark.parametrize(("role", "unit"), [("standard", None), ("principal", "10208")])
async def test_who_may_not_configure_is_told_the_permission(engine: AsyncEngine, role: str, unit: str | None) -> None:
    await provision(engine, is_started=True)
    client = Client(engine, role, unit=unit)

    refused = [await create(client, year=2026), await update(client), await mutate(client, "closeYear", CHANGED, year=2025)]

    assert [result["permission"] for result in refused] == ["backoffice.configuration:edit"] * 3
    assert (await mutate(client, "syncUnits", "pipeline { id }", year=2025))[
        "permission"
    ] == "backoffice.pipeline_operations:edit"
    assert await rows(engine, "SELECT year, is_started FROM year_configuration") == [(2025, True)]


async def test_of_eight_unit_syncs_at_once_seven_are_conflicts_that_show_the_first(engine: AsyncEngine) -> None:
    await provision(engine)
    client = Client(engine, "operator")

    results = await asyncio.gather(
        *(mutate(client, "syncUnits", "pipeline { pipelineId status }", year=2025) for _ in range(8))
    )

    [started] = [result["pipeline"] for result in results if result["__typename"] == "SyncUnitsPayload"]
    refused = [result for result in results if result["__typename"] == "ConflictProblem"]
    assert [result["current"] for result in refused] == [started] * 7
    assert {(result["reason"], result["retryable"]) for result in refused} == {("ALREADY_RUNNING", True)}


async def test_an_unreachable_year_is_bad_input(engine: AsyncEngine) -> None:
    refused = await create(Client(engine, "operator"), year=1999)

    assert (refused["coordinate"], refused["message"]) == (
        "CreateYearConfigurationInput.year",
        "year must be between 2000 and 2100",
    )


async def test_a_fault_in_one_mutation_does_not_hide_what_the_others_did(engine: AsyncEngine) -> None:
    await provision(engine)
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE pipelines RENAME TO gone"))
    operation = """mutation {
      first: openYear(input: { year: 2025 }) { ... on OpenYearPayload { yearConfiguration { isStarted } } }
      second: syncUnits(input: { year: 2025 }) { __typename }
      third: closeYear(input: { year: 2025 }) { ... on CloseYearPayload { yearConfiguration { isStarted } } }
    }"""

    answer = await Client(engine, "operator").execute(operation)

    assert answer["data"] == {
        "first": {"yearConfiguration": {"isStarted": True}},
        "second": None,
        "third": {"yearConfiguration": {"isStarted": False}},
    }
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [(["second"], "INTERNAL")]
