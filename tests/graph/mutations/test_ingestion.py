"""Starting ingestions and recalculations, as a client asks for them, with a worker that runs them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert

from gql_server.db.models import Upload, UploadChunk
from gql_server.graph.nodes import encode
from gql_server.handlers.api import entry_sources
from gql_server.worker import ClaimedJob
from tests.graph.mutations.conftest import mutate, rows
from tests.graphql import Client
from tests.handlers.conftest import EQUIPMENT_FACTORS, PROCESS_FACTORS, World, world

assert world
CSV = "unit_institutional_id,category,subcategory,quantity,note\n10208,CO2,,100,\n"
STARTED = "pipeline { pipelineId kind scope { year module { typeId } level } }"


def client(world: World, role: str = "operator", **claims: Any) -> Client:
    return Client(world.engine, role, **dict[str, Any](provider="ACCRED") | claims)


async def store(world: World, content: str = CSV, *, by: str = "operator", provider: str = "ACCRED") -> UUID:
    """A file as `POST /uploads?start=false` keeps it."""
    async with world.engine.begin() as connection:
        values = {"provider": provider, "filename": "a.csv", "size_bytes": len(content), "created_by": {"user_id": by}}
        upload_id = (await connection.execute(insert(Upload).values(values).returning(Upload.id))).scalar_one()
        await connection.execute(insert(UploadChunk).values(upload_id=upload_id, seq=0, data=content.encode()))
    return upload_id


async def start(client: Client, source: Mapping[str, Any], **values: Any) -> dict[str, Any]:
    given = {"source": source, "year": 2025, "moduleTypeId": 8, **values}
    return await mutate(client, "startIngestion", STARTED, **given)


async def recalculate(client: Client, **values: Any) -> dict[str, Any]:
    return await mutate(client, "recalculate", STARTED, **{"year": 2025, "moduleTypeId": 4, **values})


async def retry(client: Client, pipeline_id: UUID, **values: Any) -> dict[str, Any]:
    return await mutate(client, "retryPipeline", STARTED, id=encode("Pipeline", pipeline_id), **values)


async def test_an_upload_is_ingested_once_for_a_key_though_sent_eight_times_at_once(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    upload_id = str(await store(world))
    operator, key = client(world), str(uuid4())

    results = await asyncio.gather(*(start(operator, {"uploadId": upload_id}, idempotencyKey=key) for _ in range(8)))
    await world.drain()

    assert results == [results[0]] * 8
    pipeline = results[0]["pipeline"]
    assert (pipeline["kind"], pipeline["scope"]) == (
        "CSV_INGEST",
        {"year": 2025, "module": {"typeId": 8}, "level": "MODULE_PER_YEAR"},
    )
    assert await world.status(UUID(pipeline["pipelineId"])) == "SUCCESS"
    assert await world.totals(8) == {"10208": (150.0, 1, 150.0)}
    [(target,)] = await rows(world.engine, "SELECT target FROM audit_log WHERE target ->> 'upload_id' = :id", id=upload_id)
    assert target == {"pipeline_id": pipeline["pipelineId"], "upload_id": upload_id}


async def test_a_principal_ingests_their_own_file_for_their_own_unit(world: World) -> None:
    own, other = str(await store(world, by="ada")), str(await store(world))
    principal = client(world, "principal", unit="10208", subject="ada")

    started = await start(principal, {"uploadId": own}, unitInstitutionalId="10208")
    not_theirs = await start(principal, {"uploadId": other}, unitInstitutionalId="10208")
    elsewhere = await start(principal, {"uploadId": own}, unitInstitutionalId="10209")

    assert started["pipeline"]["scope"]["level"] == "MODULE_UNIT_SPECIFIC"
    assert not_theirs["__typename"] == "NotFoundProblem"
    assert (elsewhere["__typename"], elsewhere["permission"]) == ("ForbiddenProblem", "backoffice.pipeline_operations:edit")


async def test_a_file_of_another_provider_and_one_that_does_not_exist_are_not_found_alike(world: World) -> None:
    theirs = str(await store(world, provider="TEST"))

    assert await start(client(world), {"uploadId": theirs}) == await start(client(world), {"uploadId": str(uuid4())})


@pytest.mark.parametrize(("values", "coordinate"), [
    ({"moduleTypeId": 99}, "StartIngestionInput.moduleTypeId"),
    ({"moduleTypeId": None}, "StartIngestionInput.module"),
    ({"module": "process_emissions"}, "StartIngestionInput.module"),
    ({"moduleTypeId": None, "module": "processes"}, "StartIngestionInput.module"),
    ({"moduleTypeId": None, "module": "headcount"}, "StartIngestionInput.dataEntryType"),
    ({"dataEntryType": "member"}, "StartIngestionInput.dataEntryType"),
    ({"dataEntryType": "members"}, "StartIngestionInput.dataEntryType"),
    ({"dataEntryType": "process_emissions", "dataEntryTypeId": 50}, "StartIngestionInput.dataEntryType"),
    ({"year": 1}, "StartIngestionInput.year"),
    ({"dataEntryTypeId": 10}, "StartIngestionInput.dataEntryTypeId"),
    ({"unitInstitutionalId": "99999"}, "StartIngestionInput.unitInstitutionalId"),
    ({"maxRejectedShare": 1.5}, "StartIngestionInput.maxRejectedShare"),
    ({"source": {"previousJob": "nonsense"}}, "StartIngestionInput.source"),
    ({"source": {"api": {}}}, "StartIngestionInput.source"),
    ({"source": {"api": {"filters": []}}}, "StartIngestionInput.source"),
    ({"source": {"api": {}}, "target": "FACTORS"}, "StartIngestionInput.target"),
])  # fmt: skip
async def test_what_is_refused_is_named(world: World, values: dict[str, Any], coordinate: str) -> None:
    source = {"uploadId": str(await store(world))}

    refused = await start(client(world), **{"source": source, **values})

    assert (refused["__typename"], refused["coordinate"]) == ("InputProblem", coordinate)


async def test_a_module_and_an_entry_type_go_by_key_in_every_mutation_that_takes_them(world: World) -> None:
    operator, upload_id = client(world), str(await store(world))
    names = {"module": "process_emissions", "dataEntryType": "process_emissions", "year": 2025}

    started = [
        await mutate(operator, "startIngestion", STARTED, source={"uploadId": upload_id}, **names),
        await mutate(operator, "uploadFactors", STARTED, uploadId=str(await store(world, PROCESS_FACTORS)), **names),
        await mutate(operator, "recalculate", STARTED, **names),
        await mutate(operator, "recalculate", STARTED, module="equipment_electric_consumption", year=2025),
    ]

    assert {result["__typename"].removesuffix("Payload") for result in started} == {
        "StartIngestion",
        "UploadFactors",
        "Recalculate",
    }
    found = await rows(
        world.engine, "SELECT module_type_id, data_entry_type_id FROM data_ingestion_jobs WHERE id > 1 ORDER BY id"
    )
    assert found == [(8, 50), (8, 50), (8, 50), (4, None)]


async def test_a_module_that_no_one_knows_is_refused_with_those_there_are(world: World) -> None:
    refused = await start(client(world), {"uploadId": str(await store(world))}, moduleTypeId=None, module="processes")

    assert refused["message"] == (
        "unknown key 'processes'; there are: headcount, professional_travel, buildings, equipment_electric_consumption, "
        "purchase, research_facilities, external_cloud_and_ai, process_emissions"
    )


async def test_y3_a_year_that_is_not_provisioned_takes_nothing_and_is_shown(world: World) -> None:
    upload_id = str(await store(world))
    await rows(world.engine, "UPDATE year_configuration SET configuration_completed = NULL RETURNING 1")
    operator = client(world)
    factors = {"uploadId": upload_id, "year": 2025, "moduleTypeId": 8}

    refused = [
        await start(operator, {"uploadId": upload_id}),
        await mutate(operator, "uploadFactors", STARTED, **factors),
        await recalculate(operator),
    ]

    assert {result["reason"] for result in refused} == {"YEAR_NOT_PROVISIONED"}
    assert [result["currentYear"] for result in refused] == [{"year": 2025, "isProvisioned": False}] * 3
    absent = await start(operator, {"uploadId": upload_id}, year=2024)
    assert (absent["reason"], absent["currentYear"]) == ("YEAR_NOT_CREATED", None)


async def test_a_file_of_data_or_of_factors_says_how_many_rows_may_be_rejected(world: World) -> None:
    operator, upload = client(world), str(await store(world))
    values = {"uploadId": upload, "year": 2025, "moduleTypeId": 8, "maxRejectedShare": 0.0}

    data = await start(operator, {"uploadId": upload}, maxRejectedShare=0.25)
    factors = await mutate(operator, "uploadFactors", STARTED, **values)

    shares = [(await world.root(UUID(result["pipeline"]["pipelineId"]))).config for result in (data, factors)]
    assert shares == [{"max_rejected_share": 0.25}, {"max_rejected_share": 0.0}]


async def test_factors_are_read_from_an_upload(world: World) -> None:
    upload_id = str(await store(world, PROCESS_FACTORS))

    started = await mutate(client(world), "uploadFactors", STARTED, uploadId=upload_id, year=2025, moduleTypeId=8)
    await world.drain()

    assert started["pipeline"]["kind"] == "FACTOR_INGEST"
    assert await world.status(UUID(started["pipeline"]["pipelineId"])) == "SUCCESS"


async def test_the_file_of_a_previous_job_is_read_again_for_another_year(world: World) -> None:
    await world.create_year(2026)
    await world.factors("process_emissions", PROCESS_FACTORS)
    first = await world.root(await world.upload("process_emissions", f"{CSV}99999,CO2,,1,\n"))

    started = await start(client(world), {"previousJob": encode("Job", first.id)}, year=2026)
    await world.drain()

    again = await world.root(UUID(started["pipeline"]["pipelineId"]))
    assert (again.year, again.upload_id, again.config) == (2026, first.upload_id, {"copied_from_job_id": first.id})
    assert (first.result, again.meta["filename"]) == ("WARNING", "test.csv")


async def test_a_previous_job_is_of_the_same_kind_has_landed_and_still_has_its_file(world: World) -> None:
    operator = client(world)
    await world.factors("process_emissions", PROCESS_FACTORS)
    first = await world.root(await world.upload("process_emissions", CSV))
    source = {"previousJob": encode("Job", first.id)}

    other_module = await start(operator, source, moduleTypeId=5)
    other_target = await start(operator, source, target="FACTORS")
    [(sync,)] = await rows(world.engine, "SELECT id FROM data_ingestion_jobs WHERE job_type = 'unit_sync'")
    no_file = await start(operator, {"previousJob": encode("Job", sync)})
    unknown = await start(operator, {"previousJob": encode("Job", 999_999)})
    foreign = await start(client(world, provider="TEST"), source)
    await rows(world.engine, "UPDATE uploads SET pruned_at = now() RETURNING 1")
    gone = await start(operator, source)
    await rows(world.engine, "UPDATE data_ingestion_jobs SET result = 'ERROR' WHERE id = :id RETURNING 1", id=first.id)
    failed = await start(operator, source)

    assert {result["coordinate"] for result in (other_module, other_target, no_file)} == {"StartIngestionInput.source"}
    assert unknown == foreign
    assert unknown["__typename"] == "NotFoundProblem"
    assert (gone["reason"], failed["reason"]) == ("FILE_GONE", "NOT_LANDED")
    assert gone["currentJob"] == failed["currentJob"] == {"jobId": first.id, "state": "FINISHED"}


class Metering:
    """An institution's API with one entry."""

    async def rows(self, job: ClaimedJob) -> AsyncIterator[Mapping[str, str]]:
        assert job.config["filters"] == {"site": "north"}
        yield {"unit_institutional_id": "10209", "category": "CH4", "quantity": "2"}


async def test_an_api_is_ingested_if_there_is_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    monkeypatch.setitem(entry_sources, ("ACCRED", 8), Metering())

    started = await start(client(world), {"api": {"filters": {"site": "north"}}})

    assert started["pipeline"]["kind"] == "API_INGEST"
    root = await world.root(UUID(started["pipeline"]["pipelineId"]))
    assert (root.config, root.meta["filters"], root.ingestion_method) == (
        {"filters": {"site": "north"}},
        {"site": "north"},
        "api",
    )
    assert (await start(client(world), {"api": {}}, moduleTypeId=5))["__typename"] == "InputProblem"


async def test_of_fifty_recalculations_at_once_one_starts_and_the_others_show_it(world: World) -> None:
    operator = client(world)

    results = await asyncio.gather(*(recalculate(operator, dataEntryTypeId=10) for _ in range(50)))

    [started] = [result["pipeline"]["pipelineId"] for result in results if result["__typename"] == "RecalculatePayload"]
    refused = [result for result in results if result["__typename"] == "ConflictProblem"]
    assert len(refused) == 49
    assert {result["reason"] for result in refused} == {"ALREADY_RUNNING"}
    assert {result["current"]["pipelineId"] for result in refused} == {started}


async def test_nothing_stale_is_refused_on_only_stale(world: World) -> None:
    refused = await recalculate(client(world), onlyStale=True)

    assert (refused["__typename"], refused["coordinate"]) == ("InputProblem", "RecalculateInput.onlyStale")


async def test_only_who_operates_recalculates_and_uploads_factors(world: World) -> None:
    upload_id = str(await store(world, by="principal"))
    principal = client(world, "principal", unit="10208")

    refused = [
        await recalculate(principal),
        await mutate(principal, "uploadFactors", STARTED, uploadId=upload_id, year=2025, moduleTypeId=8),
    ]

    assert [result["permission"] for result in refused] == ["backoffice.pipeline_operations:edit"] * 2


async def test_a_failed_ingestion_is_retried_from_its_file(world: World) -> None:
    first = await world.upload("process_emissions", "unit_institutional_id,category,quantity\n99999,CO2,1\n")
    root = await world.root(first)

    started = await retry(client(world), first)

    again = await world.root(UUID(started["pipeline"]["pipelineId"]))
    assert (root.result, again.upload_id, again.config) == ("ERROR", root.upload_id, {"retry_of_job_id": root.id})
    assert again.meta["created_by"]["user_id"] == "operator"


async def test_of_eight_retries_at_once_one_starts(world: World) -> None:
    first = await world.upload("process_emissions", CSV)

    results = await asyncio.gather(*(retry(client(world), first) for _ in range(8)))

    assert sorted(result.get("reason", "started") for result in results) == ["ALREADY_RUNNING"] * 7 + ["started"]


async def test_a_recalculation_a_unit_sync_and_an_api_are_retried_as_they_were(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.factors("equipment_electric_consumption", EQUIPMENT_FACTORS)
    await rows(world.engine, "UPDATE data_ingestion_jobs SET is_current = false RETURNING 1")
    monkeypatch.setitem(entry_sources, ("ACCRED", 8), Metering())
    operator = client(world)
    [(sync,)] = await rows(world.engine, "SELECT id FROM pipelines WHERE kind = 'unit_sync'")
    whole, single = await recalculate(operator), await recalculate(operator, dataEntryTypeId=10)
    api = await start(operator, {"api": {"filters": {"site": "north"}}})
    await world.drain()
    firsts = [sync, *(UUID(result["pipeline"]["pipelineId"]) for result in (whole, single, api))]

    agains = [UUID((await retry(operator, first))["pipeline"]["pipelineId"]) for first in firsts]

    for first, again in zip(firsts, agains, strict=True):
        before, after = await world.root(first), await world.root(again)
        assert after.config == {**before.config, "retry_of_job_id": before.id}
        assert (after.job_type, after.data_entry_type_id, after.lock_keys) == (
            before.job_type,
            before.data_entry_type_id,
            before.lock_keys,
        )
    await world.drain()
    assert {await world.status(again) for again in agains[:3]} == {"SUCCESS"}


async def test_a_retry_needs_a_pipeline_that_has_ended_and_whose_file_is_kept(world: World) -> None:
    operator = client(world)
    live = await world.submit("process_emissions", CSV)

    running = await retry(operator, live)
    await world.drain()
    await rows(world.engine, "UPDATE uploads SET pruned_at = now() RETURNING 1")
    gone = await retry(operator, live)
    change = "UPDATE data_ingestion_jobs SET {} WHERE pipeline_id = :id RETURNING 1"
    await rows(world.engine, change.format("module_type_id = 99"), id=live)
    unknown = await retry(operator, live)
    await rows(world.engine, change.format("module_type_id = 8, year = NULL"), id=live)
    without_year = await retry(operator, live)
    await rows(world.engine, change.format("job_type = 'aggregation'"), id=live)
    not_by_hand = await retry(operator, live)

    assert (running["reason"], running["current"]["pipelineId"], running["retryable"]) == ("NOT_ENDED", str(live), True)
    assert (gone["reason"], unknown["reason"], not_by_hand["reason"]) == ("FILE_GONE", "NOT_REPEATABLE", "NOT_REPEATABLE")
    assert (without_year["reason"], without_year["message"]) == ("NOT_REPEATABLE", "It does not say which year it is about.")


async def test_a_retry_of_what_is_not_visible_is_not_found_and_of_what_is_not_theirs_forbidden(world: World) -> None:
    per_year = await world.upload("process_emissions", CSV)
    of_unit = await world.upload("process_emissions", "category,quantity\nCO2,1\n", unit="10208")
    principal = client(world, "principal", unit="10208")

    assert (await retry(principal, per_year))["__typename"] == "NotFoundProblem"
    assert (await retry(client(world, provider="TEST"), per_year))["__typename"] == "NotFoundProblem"
    assert (await retry(client(world), uuid4()))["__typename"] == "NotFoundProblem"
    assert (await retry(principal, of_unit))["pipeline"]["scope"]["level"] == "MODULE_UNIT_SPECIFIC"
    await world.drain()
    await rows(
        world.engine, "UPDATE data_ingestion_jobs SET job_type = 'api_ingest' WHERE pipeline_id = :id RETURNING 1", id=of_unit
    )
    assert (await retry(principal, of_unit))["permission"] == "backoffice.pipeline_operations:edit"
