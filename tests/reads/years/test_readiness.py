"""Readiness of a year: what it lacks before it can be opened."""

from dataclasses import dataclass
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.carbon.formats import entry_format, factor_format
from gql_server.carbon.year_configuration import default_config, merge
from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobState, JobType, Provider, TargetType
from gql_server.reads.years.queries import current_jobs_by_year
from gql_server.reads.years.readiness import CurrentJob, IncompleteReason, ModuleReadiness, SubmoduleReadiness, readiness
from tests import build
from tests.graphql import viewer

FACTOR, REFERENCE = IncompleteReason.MISSING_FACTOR, IncompleteReason.MISSING_REFERENCE


@dataclass(frozen=True)
class Upload:
    job_id: int
    module_type_id: int | None
    data_entry_type_id: int | None = None
    target_type: str | None = TargetType.DATA_ENTRIES
    ingestion_method: str = IngestionMethod.CSV
    entity_type: str = EntityType.MODULE_PER_YEAR


def factors(job_id: int, module: int, entry_type: int | None = None) -> Upload:
    return Upload(job_id, module, entry_type, TargetType.FACTORS)


def reference(job_id: int, module: int, entry_type: int) -> Upload:
    return Upload(job_id, module, entry_type, TargetType.REFERENCE_DATA)


def module(module_id: int, *jobs: CurrentJob, **patch: Any) -> ModuleReadiness:
    config = merge(every_module_enabled(), {"modules": {str(module_id): patch}})
    return next(part for part in readiness(config, jobs) if part.module_type_id == module_id)


def reasons(module: ModuleReadiness) -> dict[int, tuple[IncompleteReason, ...]]:
    return {part.data_entry_type_id: part.incomplete_reasons for part in module.submodules if part.incomplete}


def ids(part: SubmoduleReadiness) -> tuple[int | None, ...]:
    jobs = (part.latest_data_job, part.latest_api_data_job, part.latest_factor_job, part.latest_reference_job)
    return tuple(job.job_id if job else None for job in jobs)


def every_module_enabled() -> dict[str, Any]:
    return default_config(enables=lambda *_: True)


def test_y8_a_fresh_year_begins_with_what_can_be_read_and_lacks_its_mandatory_uploads() -> None:
    modules = readiness(default_config(), [])

    assert [part.module_type_id for part in modules] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [part.module_type_id for part in modules if part.enabled] == [1, 4, 5, 8]
    assert [each.data_entry_type_id for part in modules for each in part.submodules if each.enabled] == [
        *(1, 2, 10, 11, 12, 60, 61, 62, 63, 64, 65, 66, 50)
    ]
    assert [part.module_type_id for part in modules if part.incomplete] == [1, 4, 5, 8]
    assert {entry_type: found for part in modules for entry_type, found in reasons(part).items()} == dict.fromkeys(
        [1, 2, 50], (FACTOR,)
    )


def test_everything_that_can_be_enabled_can_be_read() -> None:
    enabled = [part for part in readiness(default_config(), []) if part.enabled]

    for part in enabled:
        assert factor_format(part.module_type_id) is not None
        for each in part.submodules:
            assert each.enabled is (entry_format(part.module_type_id, each.data_entry_type_id) is not None)


def test_y8_with_every_module_enabled_all_mandatory_uploads_are_lacking() -> None:
    modules = readiness(every_module_enabled(), [])

    assert all(part.incomplete for part in modules)
    assert {entry_type: found for part in modules for entry_type, found in reasons(part).items()} == {
        **dict.fromkeys([1, 2, 31, 32, 67, 70, 71, 40, 41, 50], (FACTOR,)),
        **dict.fromkeys([20, 21, 30], (FACTOR, REFERENCE)),
    }


@pytest.mark.parametrize("module_id", [4, 5])
def test_y8_purchase_and_equipment_are_incomplete_without_common_factors_even_if_all_submodules_are_fine(
    module_id: int,
) -> None:
    own = [factors(entry_type, module_id, entry_type) for entry_type in (10, 11, 12, 60, 61, 62, 63, 64, 65, 66, 67)]

    assert reasons(module(module_id, *own)) == {}
    assert module(module_id, *own).incomplete is True
    assert module(module_id, *own, factors(99, module_id)).incomplete is False


def test_common_factors_satisfy_a_submodule_but_nothing_stands_for_its_reference() -> None:
    with_factors = module(3, factors(1, 3))
    complete = module(3, factors(1, 3), reference(2, 3, 30))

    assert (with_factors.latest_common_factor_job, reasons(with_factors)) == (factors(1, 3), {30: (REFERENCE,)})
    assert (reasons(complete), complete.incomplete) == ({}, False)


def test_what_is_disabled_does_not_count() -> None:
    off = {"enabled": False}

    assert module(3, factors(1, 3), submodules={"30": off}).incomplete is False
    assert reasons(module(3, factors(1, 3), submodules={"30": off})) == {}
    assert module(3, factors(1, 3), submodules={"31": off}).incomplete is True
    for whole in (module(3, **off), module(4, **off)):
        assert (whole.incomplete, whole.lacks_common_factor, reasons(whole)) == (False, False, {})


def test_the_latest_job_of_each_sort_is_shown() -> None:
    api, unit = IngestionMethod.API, EntityType.MODULE_UNIT_SPECIFIC
    jobs = [
        Upload(1, 2, 20),
        Upload(2, 2, 20, ingestion_method=api),
        factors(9, 2, 20),
        factors(3, 2, 20),
        reference(4, 2, 20),
        Upload(5, 2, 20, entity_type=unit),
        Upload(6, 2, 20, ingestion_method=IngestionMethod.COMPUTED),
        Upload(7, 2),
        Upload(8, 2, ingestion_method=IngestionMethod.COMPUTED),
        Upload(10, 3, 30),
        Upload(11, None, target_type=TargetType.REFERENCE_DATA, ingestion_method=api, entity_type=EntityType.GLOBAL_PER_YEAR),
    ]

    travel = module(2, *jobs)

    assert [ids(part) for part in travel.submodules] == [(1, 2, 9, 4), (None, None, None, None)]
    assert (travel.latest_common_data_job, travel.latest_common_factor_job) == (jobs[7], None)


def test_settings_that_are_not_ours_are_skipped() -> None:
    config = {"modules": {"x": {}, "10": {"submodules": None}, "8": {"submodules": {"50": 1, "51": {}}}, "1": []}}

    found = readiness(config, [])

    assert [(part.module_type_id, part.enabled, len(part.submodules)) for part in found] == [(8, True, 1), (10, True, 0)]
    assert readiness({}, []) == readiness({"modules": 3}, []) == ()


async def test_y8_a_factor_upload_that_failed_is_not_missing(engine: AsyncEngine) -> None:
    key, shared = (Provider.DEFAULT.value, 2025), {"job_type": JobType.FACTOR_INGEST, "target_type": TargetType.FACTORS}
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        await build.year(connection, 2026)
        failed = await build.job(connection, module_type_id=8, is_current=True, result=JobResult.ERROR, **shared)
        await build.job(connection, module_type_id=7, result=JobResult.SUCCESS, **shared)
        await build.job(connection, module_type_id=7, provider=Provider.TEST, is_current=True, **shared)
        await build.job(connection, module_type_id=7, year=2024, is_current=True, **shared)
        running = await build.job(connection, module_type_id=6, year=2026, is_current=True, state=JobState.RUNNING, **shared)

    async with engine.connect() as connection:
        jobs = await current_jobs_by_year(connection, viewer("operator"), [key, (key[0], 2026), (key[0], 2024), ("TEST", 2025)])
        hidden = await current_jobs_by_year(connection, viewer("standard"), [key])

    assert {year: [job.job_id for job in of_year] for year, of_year in jobs.items()} == {
        key: [failed],
        (key[0], 2026): [running],
    }
    assert hidden == {}
    incomplete = {
        part.module_type_id for part in readiness(every_module_enabled(), cast("list[Any]", jobs[key])) if part.incomplete
    }
    assert incomplete == {1, 2, 3, 4, 5, 6, 7}
