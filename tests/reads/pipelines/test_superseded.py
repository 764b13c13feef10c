"""The pipeline that has brought newer data, told in one statement, beside the rule over a list of jobs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.carbon.catalog import entry_types_of
from gql_server.db import models
from gql_server.db.models import EntityType, IngestionMethod, JobResult, JobState, JobType, Provider, TargetType
from gql_server.reads.pipelines.capabilities import retry_facts_by_pipeline
from tests.graphql import viewer

J = models.Job
JOBS = 300
START = datetime(2026, 5, 4, tzinfo=UTC)
READING = (JobType.CSV_INGEST, JobType.FACTOR_INGEST, JobType.REFERENCE_INGEST, JobType.API_INGEST)
STATES = (JobState.QUEUED, JobState.RUNNING, *[JobState.FINISHED] * 8)


def any_job(random: Random, uploads: Sequence[UUID]) -> dict[str, Any]:
    """A job of one of a few scopes, which reads one of a few sources."""
    module, state = random.choice((4, 8)), random.choice(STATES)
    has_ended = state == JobState.FINISHED
    question = {"filters": {"unit": random.choice("AB")}} if random.random() < 0.5 else {}
    return {
        "provider": Provider.DEFAULT.value,
        "job_type": random.choice((*READING, JobType.CSV_INGEST, JobType.EMISSION_RECALC)).value,
        "entity_type": random.choice((*[EntityType.MODULE_PER_YEAR] * 5, EntityType.MODULE_UNIT_SPECIFIC)).value,
        "ingestion_method": IngestionMethod.CSV.value,
        "target_type": TargetType.DATA_ENTRIES.value,
        "module_type_id": module,
        "data_entry_type_id": random.choice((None, *entry_types_of(module))),
        "year": random.choice((2025, 2026)),
        "upload_id": random.choice((None, *uploads)),
        "config": question,
        "state": state.value,
        "result": random.choice((JobResult.SUCCESS, JobResult.WARNING, JobResult.ERROR)).value if has_ended else None,
        "finished_at": START + timedelta(seconds=random.randrange(10_000)) if has_ended else None,
        "attempts": 3,
    }


def has_landed(job: Any) -> bool:
    return job.state == JobState.FINISHED and job.result != JobResult.ERROR


def source(job: Any) -> tuple[Any, ...]:
    return job.upload_id, job.config.get("filters")


def is_same_source(one: Any, other: Any) -> bool:
    return one.upload_id == other.upload_id if one.upload_id else source(one) == source(other)


def place(job: Any) -> tuple[Any, ...]:
    return job.provider, job.job_type, job.entity_type, job.module_type_id, job.year


def covers(newer: Any, job: Any) -> bool:
    if newer.scope_key is None or place(newer) != place(job):
        return False
    if job.job_type == JobType.REFERENCE_INGEST or None not in (newer.data_entry_type_id, job.data_entry_type_id):
        return newer.data_entry_type_id == job.data_entry_type_id
    return True


def includes(newer: Any, job: Any) -> bool:
    only = entry_types_of(job.module_type_id) if len(entry_types_of(job.module_type_id)) == 1 else ()
    return newer.data_entry_type_id in (None, job.data_entry_type_id, *only)


def replaces(newer: Any, job: Any, jobs: Sequence[Any]) -> bool:
    if newer.id <= job.id or source(newer) == source(job) or not covers(newer, job):
        return False
    own = [each for each in jobs if each.scope_key == job.scope_key and is_same_source(each, job) and has_landed(each)]
    landed_last = has_landed(newer) and not any(each.finished_at > newer.finished_at for each in own)
    return newer.state != JobState.FINISHED or landed_last


def expected(jobs: Sequence[Any]) -> Mapping[UUID, tuple[UUID | None, bool]]:
    """Of each job, the newest that replaces it, and whether one that does includes all of its data."""
    told: dict[UUID, tuple[UUID | None, bool]] = {}
    for job in jobs:
        alike = [each for each in jobs if place(each) == place(job)]
        newer = [each for each in alike if job.job_type in READING and replaces(each, job, alike)]
        told[job.time_key] = (newer[-1].time_key if newer else None, any(includes(each, job) for each in newer))
    return told


@pytest.mark.parametrize("seed", range(4))
async def test_a_job_is_superseded_by_the_newest_that_brings_its_data_from_elsewhere(engine: AsyncEngine, seed: int):
    random = Random(seed)
    async with engine.begin() as connection:
        uploads = [{"provider": Provider.DEFAULT.value, "filename": "rows.csv"}] * 4
        kept = list(await connection.scalars(insert(models.Upload).returning(models.Upload.id), uploads))
        await connection.execute(insert(J), [any_job(random, kept) for _ in range(JOBS)])
        jobs = cast(Any, (await connection.execute(select(J.__table__).order_by(J.id))).all())

    async with engine.connect() as connection:
        facts = await retry_facts_by_pipeline(connection, viewer("operator"), [job.time_key for job in jobs])

    told = {key: (each.superseded_by, each.is_superseded_wholly) for key, each in facts.items()}
    assert told == expected(jobs)
    assert {True, False} == {each.superseded_by is None for each in facts.values()}
    assert {True, False} == {each.is_superseded_wholly for each in facts.values() if each.superseded_by}
