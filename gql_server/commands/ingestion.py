"""Starting the ingestion of an uploaded file, or of what the institution's API gives."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import MODULES, Module, entry_types_of
from gql_server.carbon.formats import entry_format, factor_format, takes_entries
from gql_server.carbon.numbers import DECIMALS
from gql_server.carbon.reference import is_of_whole_module, takes_reference
from gql_server.commands import audit
from gql_server.commands.already_ingested import already_ingested
from gql_server.commands.checks import check_year, creator, year_accepts_uploads
from gql_server.db.models import EntityType, IngestionMethod, JobType, TargetType, Upload
from gql_server.db.models.carbon import Unit
from gql_server.errors import BadInput, Forbidden, NotFound
from gql_server.ledger import NewJob, Submitted, submit
from gql_server.policy import OPERATIONS_EDIT, Viewer, may_upload, upload_clause
from gql_server.reads.pipelines.same_file import ADD_AGAIN, bringing_same_file
from gql_server.worker import Registry

JOB_TYPES = {
    TargetType.DATA_ENTRIES: JobType.CSV_INGEST,
    TargetType.FACTORS: JobType.FACTOR_INGEST,
    TargetType.REFERENCE_DATA: JobType.REFERENCE_INGEST,
}

SHEET_MAX = 100

ApiSource = tuple[str, int]
"""Provider and module that an institution's API has entries of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingestion:
    """Description of a file, and the target of its rows.

    `unit` is the institutional id for a file of one unit only; a file with a larger share of rejected rows than
    `max_rejected_share` is refused (None: than the worker allows). `sheet` and `decimal`, point or comma, tell what the file
    alone does not. A file of one unit whose bytes have been read for it is refused, unless its rows are to be added again.
    """

    year: int
    module_type_id: int
    target: TargetType = TargetType.DATA_ENTRIES
    data_entry_type_id: int | None = None
    unit: str | None = None
    max_rejected_share: float | None = None
    sheet: str | None = None
    decimal: str | None = None
    add_again: bool = False

    @property
    def config(self) -> dict[str, Any]:
        """Configuration of the job that reads it."""
        config = {
            "unit_institutional_id": self.unit or None,
            "max_rejected_share": self.max_rejected_share,
            "sheet": self.sheet,
            "decimal": self.decimal,
            ADD_AGAIN: self.add_again or None,
        }
        return {name: value for name, value in config.items() if value is not None}


def authorize(viewer: Viewer, ingestion: Ingestion) -> Module:
    """Raises BadInput for an unknown module, and Forbidden unless the viewer may ingest there."""
    if (module := MODULES.get(ingestion.module_type_id)) is None:
        raise BadInput(f"unknown module {ingestion.module_type_id}", argument="module")
    if viewer.may(OPERATIONS_EDIT):
        return module
    own_unit = f"modules.{module.key}:sync@{ingestion.unit}"
    if ingestion.unit is None or ingestion.target != TargetType.DATA_ENTRIES or not viewer.may(own_unit):
        place = _place(ingestion, module)
        if ingestion.unit is None and ingestion.target == TargetType.DATA_ENTRIES and may_upload(viewer):
            raise Forbidden(f"you may not upload {place}: say which unit with `unit`", permission=OPERATIONS_EDIT)
        raise Forbidden(f"you may not upload {place}", permission=OPERATIONS_EDIT)
    return module


def _place(ingestion: Ingestion, module: Module) -> str:
    if ingestion.target != TargetType.DATA_ENTRIES:
        return f"{ingestion.target.lower().replace('_', ' ')} of module {module.key}"
    units = "all units" if ingestion.unit is None else f"unit {ingestion.unit}"
    return f"for {units} of module {module.key}"


async def start_ingestion(
    connection: AsyncConnection,
    registry: Registry,
    viewer: Viewer,
    ingestion: Ingestion,
    upload_id: UUID,
    *,
    config: Mapping[str, Any] | None = None,
    owned: bool = True,
) -> Submitted:
    """Submit the ingestion of an upload. Raises BadInput, Forbidden, NotFound, or Conflict when the year takes no uploads.

    Who may upload only for a unit starts only what they uploaded; not `owned` is a file that a job they see has read.
    `config` is what the new job shall remember beside.
    """
    await _check(connection, viewer, ingestion)
    usable = upload_clause(viewer) if owned else Upload.provider == viewer.provider
    kept = select(Upload.filename, Upload.sha256).where(Upload.id == upload_id, usable, Upload.pruned_at.is_(None))
    if (upload := (await connection.execute(kept)).one_or_none()) is None:
        raise NotFound("no such upload")
    await _check_not_read(connection, registry, viewer, ingestion, upload_id, upload.sha256)
    new = replace(
        _job(viewer, ingestion, JOB_TYPES[ingestion.target], IngestionMethod.CSV),
        meta={"provider_name": "csv", "filters": {}, "filename": upload.filename},
        upload_id=upload_id,
    )
    return await submit_ingestion(connection, registry, viewer, replace(new, config={**new.config, **(config or {})}))


async def start_api_ingestion(
    connection: AsyncConnection,
    registry: Registry,
    viewer: Viewer,
    ingestion: Ingestion,
    sources: Collection[ApiSource],
    filters: Mapping[str, Any] | None = None,
    *,
    config: Mapping[str, Any] | None = None,
) -> Submitted:
    """Submit an ingestion from the institution's API; `filters` are for its source. Raises what `start_ingestion` does, and
    BadInput when none of the `sources` is of this provider and module."""
    if ingestion.target != TargetType.DATA_ENTRIES or ingestion.unit is not None:
        raise BadInput("an API gives the data entries of all units", argument="target" if ingestion.unit is None else "unit")
    if ingestion.sheet or ingestion.decimal:
        raise BadInput("an API has neither sheets nor decimal marks", argument="sheet" if ingestion.sheet else "decimalMark")
    await _check(connection, viewer, ingestion)
    if (viewer.provider, ingestion.module_type_id) not in sources:
        raise BadInput(f"there is no API with entries of module {MODULES[ingestion.module_type_id].key}", argument="source")
    new = replace(
        _job(viewer, ingestion, JobType.API_INGEST, IngestionMethod.API),
        config={**ingestion.config, "filters": filters or {}, **(config or {})},
        meta={"provider_name": "api", "filters": filters or {}},
    )
    return await submit_ingestion(connection, registry, viewer, new)


def _job(viewer: Viewer, ingestion: Ingestion, job_type: JobType, method: IngestionMethod) -> NewJob:
    return NewJob(
        job_type=job_type,
        provider=viewer.provider,
        entity_type=EntityType.MODULE_PER_YEAR if ingestion.unit is None else EntityType.MODULE_UNIT_SPECIFIC,
        ingestion_method=method,
        target_type=ingestion.target,
        module_type_id=ingestion.module_type_id,
        data_entry_type_id=ingestion.data_entry_type_id,
        year=ingestion.year,
        unit_institutional_id=ingestion.unit,
        config=ingestion.config,
        created_by=creator(viewer),
    )


async def submit_ingestion(connection: AsyncConnection, registry: Registry, viewer: Viewer, new: NewJob) -> Submitted:
    """Submit an ingestion that has been checked."""
    submitted = await submit(connection, new, registry[new.job_type].locks(new))
    target = {"pipeline_id": submitted.pipeline_id, "upload_id": new.upload_id, **new.config}
    await audit.record(connection, viewer, "start_ingestion", target)
    return submitted


async def _check(connection: AsyncConnection, viewer: Viewer, ingestion: Ingestion) -> None:
    module = authorize(viewer, ingestion)
    check_year(ingestion.year)
    _check_share(ingestion.max_rejected_share)
    await year_accepts_uploads(connection, viewer.provider, ingestion.year)
    _check_reading(ingestion)
    check_format(ingestion, module)
    await _check_unit(connection, viewer, ingestion)


async def _check_not_read(
    connection: AsyncConnection,
    registry: Registry,
    viewer: Viewer,
    ingestion: Ingestion,
    upload_id: UUID,
    sha256: str | None,
) -> None:
    """Raises Conflict for a file of one unit when other uploads of its bytes were read for the unit. Such take turns."""
    if ingestion.unit is None or ingestion.add_again or sha256 is None:
        return
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{ingestion.unit} {sha256}", 0))))
    same = bringing_same_file(
        provider=viewer.provider,
        year=ingestion.year,
        module_type_id=ingestion.module_type_id,
        data_entry_type_id=ingestion.data_entry_type_id,
        unit=ingestion.unit,
        sha256=sha256,
        upload_id=upload_id,
    )
    if (earlier := await connection.scalar(same)) is not None:
        raise await already_ingested(connection, viewer, registry.names, earlier, ingestion.unit)


def _check_share(share: float | None) -> None:
    if share is not None and not 0 <= share <= 1:
        raise BadInput("maxRejectedShare must be between 0 and 1", argument="maxRejectedShare")


def _check_reading(ingestion: Ingestion) -> None:
    if ingestion.decimal is not None and ingestion.decimal not in DECIMALS:
        known = " or ".join(name.upper() for name in DECIMALS)
        raise BadInput(f"decimalMark must be {known}", argument="decimalMark")
    if ingestion.sheet is not None and not 1 <= len(ingestion.sheet) <= SHEET_MAX:
        raise BadInput(f"sheet must be 1 to {SHEET_MAX} characters long", argument="sheet")


def check_format(ingestion: Ingestion, module: Module) -> None:
    """Raises BadInput where no file is taken that is described so."""
    entry_type = ingestion.data_entry_type_id
    if entry_type is not None and entry_type not in entry_types_of(module.id):
        raise BadInput(f"data entry type {entry_type} is not one of module {module.key}", argument="entryType")
    if ingestion.target != TargetType.DATA_ENTRIES and ingestion.unit is not None:
        raise BadInput("only data entries can be of one unit", argument="unit")
    if ingestion.target == TargetType.REFERENCE_DATA and entry_type is not None and is_of_whole_module(module.id):
        raise BadInput(f"reference data of {module.key} is of the whole module", argument="entryType")
    if ingestion.target == TargetType.FACTORS:
        if factor_format(module.id) is None:
            raise BadInput(f"module {module.key} takes no factor files", argument="module")
    elif ingestion.target == TargetType.REDUCTION_OBJECTIVES:
        raise BadInput("only data entries, factors and reference data can be uploaded", argument="target")
    elif ingestion.target == TargetType.REFERENCE_DATA:
        if not takes_reference(module.id):
            raise BadInput(f"module {module.key} takes no files of reference data", argument="module")
    elif not takes_entries(module.id):
        raise BadInput(f"module {module.key} takes no files of data entries", argument="module")
    elif entry_format(module.id, entry_type) is None:
        known = ", ".join(info.key for info in module.data_entry_types if takes_entries(module.id, info.id))
        hint = f"say which data entry type it is: {known}" if entry_type is None else "this data entry type takes no files"
        raise BadInput(f"module {module.key}: {hint}", argument="entryType")


async def _check_unit(connection: AsyncConnection, viewer: Viewer, ingestion: Ingestion) -> None:
    if ingestion.unit is None:
        return
    known = select(Unit.id).where(Unit.provider == viewer.provider, Unit.institutional_id == ingestion.unit)
    if await connection.scalar(known) is None:
        raise BadInput(f"unknown unit {ingestion.unit}", argument="unit")
