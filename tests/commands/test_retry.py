"""A retry resumes: rows are never doubled, only what failed runs again, and newer data is not replaced unasked."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from gql_server.commands.ingestion import Ingestion, start_api_ingestion, start_ingestion
from gql_server.commands.pipelines import abort_pipeline
from gql_server.commands.recalculation import recalculate
from gql_server.commands.retry import retry_pipeline
from gql_server.db.models import TargetType
from gql_server.errors import Conflict
from gql_server.graph.nodes import encode
from gql_server.handlers.api import entry_sources
from gql_server.worker import ClaimedJob, registry
from tests.graph.mutations.conftest import mutate
from tests.graphql import Client
from tests.handlers.conftest import EQUIPMENT_FACTORS, OPERATOR, PROCESS_FACTORS, YEAR, World, world

assert world
CAN_RETRY = """query ($id: UUID!) { pipeline(by: { pipelineId: $id }) {
  viewerCan { retry { allowed code message } retryReplacingNewer { allowed } }
} }"""
UNIT_ROWS = "category,subcategory,quantity,note\nCO2,,10,\nCH4,,1,\n"
MEMBERS = "name,sius_code,user_institutional_id,fte,note\nZoé,51,200001,1,\nMax,52,200002,0.5,\n"
HEADCOUNT_FACTORS = "category,class,subclass,number_of_unit_per_fte,ef_kg_co2eq_per_unit\nfood,vegetarian,,100,1\n"


def client(world: World) -> Client:
    return Client(world.engine, "operator", provider="ACCRED")


async def retry(world: World, pipeline_id: UUID, *, drain: bool = True, **options: bool) -> UUID:
    """Retry a pipeline and let everything run; returns the new one."""
    async with world.engine.begin() as connection:
        submitted = await retry_pipeline(connection, registry, OPERATOR, pipeline_id, entry_sources, **options)
    if drain:
        await world.drain()
    return submitted.pipeline_id


async def entries(world: World) -> list[tuple[str, float]]:
    rows = await world.query(
        "SELECT u.institutional_id AS unit, coalesce((e.data ->> 'quantity')::float8, (e.data ->> 'fte')::float8) AS amount "
        "FROM data_entries e JOIN units u ON u.id = e.unit_id ORDER BY e.id"
    )
    return [(row.unit, row.amount) for row in rows]


@pytest.mark.parametrize("content", [UNIT_ROWS, UNIT_ROWS + "CO2,,many,\n"], ids=["success", "warning"])
async def test_a_unit_upload_that_is_read_again_and_again_brings_its_rows_once(world: World, content: str) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    first = await world.upload("process_emissions", content, unit="10210")

    again = await retry(world, await retry(world, first))

    assert await entries(world) == [("10210", 10.0), ("10210", 1.0)]
    assert await world.totals(8) == {"10210": (43.0, 2, 43.0)}
    assert (await world.root(again)).result == (await world.root(first)).result


async def test_rows_of_another_upload_and_of_another_unit_stay_when_an_upload_is_read_again(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", UNIT_ROWS, unit="10209")
    first = await world.upload("process_emissions", UNIT_ROWS, unit="10210")
    await world.upload("process_emissions", "category,subcategory,quantity,note\nCO2,,5,\n", unit="10210")

    await retry(world, first)

    assert await entries(world) == [("10209", 10.0), ("10209", 1.0), ("10210", 5.0), ("10210", 10.0), ("10210", 1.0)]
    assert await world.totals(8) == {"10209": (43.0, 2, 43.0), "10210": (50.5, 3, 50.5)}


async def test_rejected_rows_that_are_right_now_join_those_that_landed(world: World) -> None:
    await world.factors("process_emissions", "category,subcategory,unit,ef_kg_co2eq_per_unit\nCO2,,kg,1.5\n")
    first = await world.upload("process_emissions", UNIT_ROWS, unit="10210")
    assert await world.totals(8) == {"10210": (15.0, 1, 15.0)}
    await world.factors("process_emissions", PROCESS_FACTORS)

    await retry(world, first)

    assert await world.totals(8) == {"10210": (43.0, 2, 43.0)}


async def test_members_of_a_unit_that_are_read_again_are_no_duplicates_of_themselves(world: World) -> None:
    await world.factors("headcount", HEADCOUNT_FACTORS)
    first = await world.upload("headcount", MEMBERS, unit="10210", data_entry_type_id=1)

    again = await retry(world, first)

    assert (await world.root(again)).status_message == "Success"
    assert await world.totals(1) == {"10210": (150.0, 2, 150.0)}


async def test_an_upload_that_is_started_once_more_for_its_unit_is_no_second_upload(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    root = await world.root(await world.upload("process_emissions", UNIT_ROWS, unit="10210"))

    async with world.engine.begin() as connection:
        ingestion = Ingestion(year=YEAR, module_type_id=8, unit="10210")
        await start_ingestion(connection, registry, OPERATOR, ingestion, root.upload_id, owned=False)
    await world.drain()

    assert await entries(world) == [("10210", 10.0), ("10210", 1.0)]


BROKEN = "UPDATE factors SET values = values - '{key}' WHERE data_entry_type_id = {entry_type}"
WHOLE = "UPDATE factors SET values = values || '{{\"{key}\": {number}}}' WHERE data_entry_type_id = {entry_type}"
EQUIPMENT = (
    "unit_institutional_id,equipment_id,name,equipment_class,sub_class,active_usage_hours_per_week,standby_usage_hours_per_week,"
    "note\n10208,E1,Microscope,Microscope,Confocal,40,128,\n10209,E2,Serveur,Server,,168,0,\n"
)
YEAR_ROWS = "unit_institutional_id,category,subcategory,quantity,note\n"


async def change(world: World, statement: str, **parameters: object) -> None:
    async with world.engine.begin() as connection:
        await connection.execute(text(statement), parameters)


async def partial(world: World, content: str = "category,subcategory,quantity,note\nCO2,,10,\nCO2,,9,\n") -> UUID:
    """An upload of unit 10210 whose rows landed and whose recalculation failed; the cause is gone."""
    await world.factors("process_emissions", "category,subcategory,unit,ef_kg_co2eq_per_unit\nCO2,,kg,2\n")
    place = {"key": "ef_kg_co2eq_per_unit", "entry_type": 50}
    await change(world, BROKEN.format(**place))
    pipeline_id = await world.upload("process_emissions", content, unit="10210")
    assert await world.status(pipeline_id) == "PARTIAL"
    await change(world, WHOLE.format(**place, number=2))
    return pipeline_id


async def totals(world: World, module_type_id: int) -> dict[str, Any]:
    """Of the units that have entries."""
    return {unit: total for unit, total in (await world.totals(module_type_id)).items() if total[1]}


async def steps(world: World, pipeline_id: UUID) -> list[tuple[str, int | None, str | None]]:
    return [(job.job_type, job.data_entry_type_id, job.result) for job in await world.jobs(pipeline_id)]


async def test_the_totals_after_a_failed_recalculation_of_a_unit_are_computed_for_that_unit_alone(world: World) -> None:
    root, failed, aggregation = await world.jobs(await partial(world))

    again = await world.jobs(await retry(world, root.pipeline_id))

    assert (failed.result, len(root.affected_module_ids)) == ("ERROR", 1)
    assert failed.affected_module_ids == aggregation.scope_module_ids == root.affected_module_ids
    assert aggregation.meta["modules_refreshed"] == 1
    assert [job.affected_module_ids or job.scope_module_ids for job in again] == [root.affected_module_ids] * 3


async def test_where_the_rows_landed_only_the_recalculation_that_failed_runs_again(world: World) -> None:
    first = await partial(world)
    before = await world.query("SELECT id FROM data_entries ORDER BY id")
    await change(world, "UPDATE uploads SET pruned_at = now()")

    again = await retry(world, first)

    assert await world.query("SELECT id FROM data_entries ORDER BY id") == before
    assert await totals(world, 8) == {"10210": (38.0, 2, 38.0)}
    assert await steps(world, again) == [
        ("csv_ingest", None, "SUCCESS"),
        ("emission_recalc", 50, "SUCCESS"),
        ("aggregation", None, "SUCCESS"),
    ]
    old, new = await world.root(first), await world.root(again)
    assert new.config == {"unit_institutional_id": "10210", "retry_of_job_id": old.id, "resume_of_job_id": old.id}
    assert (new.meta["inserted"], new.upload_id, new.affected_module_ids) == (2, old.upload_id, old.affected_module_ids)
    assert f"The data has landed with job {old.id}: only what failed runs again" in [
        entry["message"] for entry in new.meta["status_history"]
    ]


async def test_a_resumed_upload_keeps_its_warning_and_its_rejected_rows(world: World) -> None:
    first = await partial(world, "category,subcategory,quantity,note\nCO2,,19,\nCO2,,many,\n")

    again = await retry(world, first)

    old, new = await world.root(first), await world.root(again)
    assert (new.result, new.status_message, new.failure_fingerprint) == ("WARNING", old.status_message, old.failure_fingerprint)
    assert await world.row_errors(again) == await world.row_errors(first) != []
    assert (await world.status(again), await totals(world, 8)) == ("SUCCESS", {"10210": (38.0, 1, 38.0)})


async def test_of_three_recalculations_the_one_that_failed_runs_again(world: World) -> None:
    await world.factors("equipment_electric_consumption", EQUIPMENT_FACTORS)
    place = {"key": "ef_kg_co2eq_per_kwh", "entry_type": 11}
    await change(world, BROKEN.format(**place))
    first = await world.upload("equipment_electric_consumption", EQUIPMENT)
    await change(world, WHOLE.format(**place, number=0.1))

    again = await retry(world, first)

    assert await steps(world, again) == [
        ("csv_ingest", None, "SUCCESS"),
        ("emission_recalc", 11, "SUCCESS"),
        ("aggregation", None, "SUCCESS"),
    ]
    assert await totals(world, 4) == {"10208": (27.456, 1, 27.456), "10209": (174.72, 1, 174.72)}


async def test_where_only_the_totals_failed_only_they_are_computed_again(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    first = await world.upload("process_emissions", YEAR_ROWS + "10208,CO2,,10,\n")
    await change(world, "UPDATE data_ingestion_jobs SET result = 'ERROR' WHERE job_type = 'aggregation'")
    await change(world, "UPDATE carbon_report_modules SET stats = NULL")

    again = await retry(world, first)

    assert await steps(world, again) == [("csv_ingest", None, "SUCCESS"), ("aggregation", None, "SUCCESS")]
    assert await totals(world, 8) == {"10208": (15.0, 1, 15.0)}


async def test_a_recalculation_whose_totals_failed_computes_them_once(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    await world.upload("process_emissions", YEAR_ROWS + "10208,CO2,,10,\n")
    async with world.engine.begin() as connection:
        first = (await recalculate(connection, registry, OPERATOR, YEAR, 8)).pipeline_id
    await world.drain()
    await change(
        world, "UPDATE data_ingestion_jobs SET result = 'ERROR' WHERE job_type = 'aggregation' AND pipeline_id = :id", id=first
    )

    again = await retry(world, first)

    assert await steps(world, again) == [("module_emission_recalc", None, "SUCCESS"), ("aggregation", None, "SUCCESS")]
    assert (await world.root(again)).meta["total_recalculated"] == 1


async def test_a_retry_that_was_stopped_before_it_resumed_is_resumed_by_the_next_one(world: World) -> None:
    first = await partial(world)
    stopped = await retry(world, first, drain=False)
    async with world.engine.begin() as connection:
        await abort_pipeline(connection, registry, OPERATOR, stopped, "not now")

    again = await retry(world, stopped)

    assert [job_type for job_type, _, _ in await steps(world, again)] == ["csv_ingest", "emission_recalc", "aggregation"]
    assert await entries(world) == [("10210", 10.0), ("10210", 9.0)]
    assert await totals(world, 8) == {"10210": (38.0, 2, 38.0)}
    assert (await world.root(again)).config["resume_of_job_id"] == (await world.root(first)).id


async def test_once_everything_has_landed_a_retry_reads_again_and_one_that_never_landed_reads_at_last(world: World) -> None:
    first = await partial(world)
    resumed = await retry(world, first)

    again = await retry(world, resumed)

    assert (await world.root(again)).config == {
        "unit_institutional_id": "10210",
        "retry_of_job_id": (await world.root(resumed)).id,
    }
    assert await totals(world, 8) == {"10210": (38.0, 2, 38.0)}


async def test_work_that_another_pipeline_did_and_failed_at_runs_again_too(world: World) -> None:
    """Two uploads share a recalculation, which fails."""
    await world.factors("process_emissions", "category,subcategory,unit,ef_kg_co2eq_per_unit\nCO2,,kg,2\n")
    place = {"key": "ef_kg_co2eq_per_unit", "entry_type": 50}
    await change(world, BROKEN.format(**place))
    rows = "category,subcategory,quantity,note\nCO2,,1,\n"
    uploads = [await world.submit("process_emissions", rows, unit=unit) for unit in ("10208", "10209")]
    await world.drain()
    await change(world, WHOLE.format(**place, number=2))
    assert [job_type for job_type, _, _ in await steps(world, uploads[1])] == ["csv_ingest"]

    again = await retry(world, uploads[1])

    assert [job_type for job_type, _, _ in await steps(world, again)] == ["csv_ingest", "emission_recalc", "aggregation"]
    assert await totals(world, 8) == {"10208": (2.0, 1, 2.0), "10209": (2.0, 1, 2.0)}


async def superseded_by(world: World, pipeline_id: UUID) -> UUID | None:
    """The pipeline that a refusal names, as the command and as `viewerCan` have it; None when both allow it."""
    permission = (await client(world).query(CAN_RETRY, id=str(pipeline_id)))["pipeline"]["viewerCan"]
    refusal = await refused(world, pipeline_id)
    assert permission["retryReplacingNewer"] == {"allowed": True}
    if refusal is None:
        assert permission["retry"] == {"allowed": True, "code": None, "message": None}
        return None
    newer = UUID(str(refusal.details["pipelineId"]))
    message = f"Pipeline {newer} is newer and brings the same data: `replaceNewer: true` puts this in place of it."
    assert (refusal.details["reason"], refusal.message) == ("SUPERSEDED", message)
    assert permission["retry"] == {"allowed": False, "code": "SUPERSEDED", "message": message}
    return newer


async def refused(world: World, pipeline_id: UUID) -> Conflict | None:
    async with world.engine.connect() as connection:
        try:
            await retry_pipeline(connection, registry, OPERATOR, pipeline_id, entry_sources)
        except Conflict as error:
            return error
    return None


async def failed(world: World, content: str = YEAR_ROWS + "10208,CO2,,100,\n", **ingestion: Any) -> UUID:
    """An upload that comes before its factors."""
    pipeline_id = await world.upload("process_emissions", content, **ingestion)
    assert await world.status(pipeline_id) == "FAILED"
    await world.factors("process_emissions", PROCESS_FACTORS)
    return pipeline_id


async def test_an_old_upload_is_not_put_in_place_of_newer_data_unasked(world: World) -> None:
    old = await failed(world)
    new = await world.upload("process_emissions", YEAR_ROWS + "10209,CO2,,10,\n")

    assert await superseded_by(world, old) == new
    assert await entries(world) == [("10209", 10.0)]

    again = await retry(world, old, replace_newer=True)

    assert await entries(world) == [("10208", 100.0)]
    assert await totals(world, 8) == {"10208": (150.0, 1, 150.0)}
    # what was put back is now the newest: it may be read again, and what it replaced may not
    assert [await superseded_by(world, each) for each in (old, again, new)] == [None, None, again]


async def test_a_landed_upload_that_was_replaced_is_read_again_when_it_shall_replace(world: World) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    old = await world.upload("process_emissions", YEAR_ROWS + "10208,CO2,,100,\n")
    await change(world, "UPDATE data_ingestion_jobs SET result = 'ERROR' WHERE job_type = 'aggregation'")
    new = await world.upload("process_emissions", YEAR_ROWS + "10209,CO2,,10,\n")

    assert await superseded_by(world, old) == new
    await retry(world, old, replace_newer=True)

    assert await entries(world) == [("10208", 100.0)]


async def test_an_upload_that_is_still_to_be_read_is_newer_and_one_that_failed_is_not(world: World) -> None:
    old = await failed(world)
    new = await world.submit("process_emissions", YEAR_ROWS + "99999,CO2,,10,\n")

    assert await superseded_by(world, old) == new
    await world.drain()
    assert await world.status(new) == "FAILED"
    assert await superseded_by(world, old) is None


async def test_what_is_of_another_year_unit_method_or_read_for_one_unit_supersedes_nothing(world: World) -> None:
    await world.create_year(2026)
    old = await failed(world)
    of_unit = await world.upload("process_emissions", "category,quantity\nCO9,1\n", unit="10208")
    await world.upload("process_emissions", YEAR_ROWS + "10208,CO2,,1,\n", year=2026)
    await world.upload("process_emissions", "category,subcategory,quantity,note\nCO2,,1,\n", unit="10208")
    await world.upload("buildings", "key,name\nA,a\n", target=TargetType.REFERENCE_DATA)

    assert [await superseded_by(world, each) for each in (old, of_unit)] == [None, None]


async def test_an_entry_type_is_superseded_by_all_of_its_module_and_the_module_by_any(world: World) -> None:
    module = "equipment_electric_consumption"
    whole = await world.upload(module, EQUIPMENT)
    scientific = await world.upload(module, EQUIPMENT, data_entry_type_id=10)
    other = await world.upload(module, EQUIPMENT, data_entry_type_id=12)
    await world.factors(module, EQUIPMENT_FACTORS)
    it = await world.upload(module, EQUIPMENT, data_entry_type_id=11)
    assert [await superseded_by(world, each) for each in (whole, scientific, other)] == [it, None, None]

    all_of_it = await world.upload(module, EQUIPMENT)

    assert [await superseded_by(world, each) for each in (whole, scientific, it)] == [all_of_it] * 3


@pytest.mark.parametrize(
    ("module", "target", "content"),
    [
        ("process_emissions", TargetType.FACTORS, PROCESS_FACTORS),
        ("buildings", TargetType.REFERENCE_DATA, "key,name\nA,a\n"),
    ],
)
async def test_old_factors_and_reference_data_are_not_put_in_place_of_newer_ones_unasked(
    world: World, module: str, target: TargetType, content: str
) -> None:
    old = await world.upload(module, content, target=target)
    assert await superseded_by(world, old) is None

    new = await world.upload(module, content.replace("1.5", "3"), target=target)

    assert await superseded_by(world, old) == new


async def test_reference_data_that_is_read_again_is_there_once(world: World) -> None:
    first = await world.upload("buildings", "key,name\nA,a\nB,b\n", target=TargetType.REFERENCE_DATA)

    await retry(world, first)

    assert [row.key for row in await world.query("SELECT key FROM reference_data ORDER BY key")] == ["A", "B"]


class Meters:
    """An institution's API that answers what it is asked."""

    async def rows(self, job: ClaimedJob) -> AsyncIterator[Mapping[str, str]]:
        yield {"unit_institutional_id": job.config["filters"]["unit"], "category": "CO2", "quantity": "2"}


async def test_an_api_that_is_asked_the_same_again_is_not_superseded_and_another_question_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.factors("process_emissions", PROCESS_FACTORS)
    monkeypatch.setitem(entry_sources, ("ACCRED", 8), Meters())

    async def ask(unit: str) -> UUID:
        async with world.engine.begin() as connection:
            ingestion = Ingestion(year=YEAR, module_type_id=8)
            asked = await start_api_ingestion(connection, registry, OPERATOR, ingestion, entry_sources, {"unit": unit})
        await world.drain()
        assert await world.status(asked.pipeline_id) == "SUCCESS"
        return asked.pipeline_id

    first, same = await ask("10208"), await ask("10208")
    assert await superseded_by(world, first) is None

    other = await ask("10209")

    assert [await superseded_by(world, each) for each in (first, same)] == [other, other]


async def test_a_client_is_told_what_is_newer_and_may_replace_it_knowingly(world: World) -> None:
    old = await failed(world)
    new = await world.upload("process_emissions", YEAR_ROWS + "10209,CO2,,10,\n")
    shown, id = "pipeline { kind }", encode("Pipeline", old)

    refused = await mutate(client(world), "retryPipeline", shown, id=id)
    accepted = await mutate(client(world), "retryPipeline", shown, id=id, replaceNewer=True)

    assert (refused["reason"], refused["retryable"]) == ("SUPERSEDED", False)
    assert refused["current"] == {"pipelineId": str(new), "status": "SUCCESS"}
    assert accepted == {"__typename": "RetryPipelinePayload", "pipeline": {"kind": "CSV_INGEST"}}
