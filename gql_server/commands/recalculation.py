"""Starting by hand what otherwise follows from an upload: a recalculation, or the unit sync of a year."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import MODULES, Module, entry_types_of
from gql_server.commands import audit
from gql_server.commands.checks import check_year, creator, lock_year, year_accepts_uploads
from gql_server.commands.years import unit_sync
from gql_server.db.models import LIVE_STATES, IngestionMethod, Job, JobType, TargetType
from gql_server.errors import BadInput, Conflict, Forbidden, RefusalReason
from gql_server.ledger import NewJob, Submitted, submit
from gql_server.ledger.deduplication import EMISSION_RECALC
from gql_server.policy import OPERATIONS_EDIT, Viewer
from gql_server.reads.years.recalculations import entry_types_to_recalculate
from gql_server.worker import Registry


async def recalculate(
    connection: AsyncConnection,
    registry: Registry,
    viewer: Viewer,
    year: int,
    module_type_id: int,
    *,
    data_entry_type_id: int | None = None,
    only_stale: bool = False,
) -> Submitted:
    """Compute anew the emissions of one entry type, or of a module's entry types; of those that need it, if `only_stale`.

    Raises BadInput, Forbidden, or Conflict: the year is not provisioned, or the same recalculation waits or runs already,
    whose `pipelineId` the error then carries.
    """
    module = _authorize(viewer, module_type_id)
    check_year(year)
    await year_accepts_uploads(connection, viewer.provider, year, lock=True)
    entry_types = _entry_types(module, data_entry_type_id)
    if only_stale:
        entry_types = await _stale(connection, viewer, year, module, entry_types)
    new = NewJob(
        job_type=JobType.MODULE_EMISSION_RECALC if data_entry_type_id is None else JobType.EMISSION_RECALC,
        provider=viewer.provider,
        ingestion_method=IngestionMethod.COMPUTED,
        target_type=TargetType.DATA_ENTRIES,
        module_type_id=module.id,
        data_entry_type_id=data_entry_type_id,
        year=year,
        config={"data_entry_type_ids": list(entry_types), "only_stale": only_stale} if data_entry_type_id is None else {},
        created_by=creator(viewer),
    )
    return await submit_once(connection, registry, viewer, new)


async def sync_units(connection: AsyncConnection, registry: Registry, viewer: Viewer, year: int) -> Submitted:
    """Synchronise the units of an existing year once more.

    Raises Forbidden, NotFound, or Conflict with the `pipelineId` of the year's unit sync that waits or runs already.
    """
    if not viewer.may(OPERATIONS_EDIT):
        raise Forbidden("you may not synchronise units", permission=OPERATIONS_EDIT)
    await lock_year(connection, viewer, year)
    return await submit_once(connection, registry, viewer, unit_sync(viewer, year))


async def submit_once(connection: AsyncConnection, registry: Registry, viewer: Viewer, new: NewJob) -> Submitted:
    """Submit unless the same job is live. The caller holds the year: of several commands at once, one is here at a time."""
    if (live := await _live(connection, new)) is not None:
        raise _running_already(live)
    try:
        async with connection.begin_nested():
            submitted = await submit(connection, new, registry[new.job_type].locks(new))
            await audit.record(connection, viewer, new.job_type, {"pipeline_id": submitted.pipeline_id})
            return submitted
    except IntegrityError as error:
        if EMISSION_RECALC.index not in str(error.orig):
            raise
    # a worker holds no year: it has chained the same recalculation meanwhile
    raise _running_already(await _live(connection, new))


async def _live(connection: AsyncConnection, new: NewJob) -> UUID | None:
    """Pipeline of the same job, if one waits or runs."""
    same = (Job.job_type, Job.provider, Job.year, Job.module_type_id, Job.data_entry_type_id)
    return await connection.scalar(
        select(func.coalesce(Job.pipeline_id, Job.time_key))
        .where(*(column.is_not_distinct_from(getattr(new, column.key)) for column in same), Job.state.in_(LIVE_STATES))
        .order_by(Job.id)
        .limit(1)
    )


def _running_already(pipeline_id: UUID | None) -> Conflict:
    return Conflict(
        "this waits or runs already", reason=RefusalReason.ALREADY_RUNNING, pipelineId=pipeline_id and str(pipeline_id)
    )


def _authorize(viewer: Viewer, module_type_id: int) -> Module:
    if (module := MODULES.get(module_type_id)) is None:
        raise BadInput(f"unknown module {module_type_id}", argument="module")
    if not viewer.may(OPERATIONS_EDIT):
        raise Forbidden("you may not recalculate", permission=OPERATIONS_EDIT)
    return module


def _entry_types(module: Module, data_entry_type_id: int | None) -> Sequence[int]:
    known = entry_types_of(module.id)
    if data_entry_type_id is None:
        return known
    if data_entry_type_id not in known:
        raise BadInput(f"data entry type {data_entry_type_id} is not one of module {module.key}", argument="entryType")
    return (data_entry_type_id,)


async def _stale(
    connection: AsyncConnection, viewer: Viewer, year: int, module: Module, entry_types: Sequence[int]
) -> Sequence[int]:
    needed = await entry_types_to_recalculate(connection, viewer, year, module.id)
    stale = [entry_type for entry_type in entry_types if entry_type in needed]
    if not stale:
        raise BadInput(f"nothing of module {module.key} needs recalculation in {year}", argument="onlyStale")
    return stale
