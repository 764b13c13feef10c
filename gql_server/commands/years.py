"""Creating a reporting year: its configuration and its unit sync, together or not at all."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import MODULES
from gql_server.commands.gate import check_year, creator
from gql_server.errors import Conflict, Forbidden
from gql_server.models import EntityType, IngestionMethod, JobType, TargetType, YearConfiguration
from gql_server.policy import Viewer
from gql_server.runner import Registry
from gql_server.runner.ledger import NewJob, Submitted, submit

CONFIGURATION_EDIT = "backoffice.configuration:edit"


def default_config() -> dict[str, Any]:
    """Every module and entry type enabled, nothing configured further."""
    objectives = ("institutional_footprint", "population_projections", "unit_scenarios")
    return {
        "modules": {
            str(module.id): {
                "enabled": True,
                "uncertainty_tag": "medium",
                "submodules": {str(info.id): {"enabled": True, "threshold": None} for info in module.data_entry_types},
            }
            for module in MODULES.values()
        },
        "reduction_objectives": {
            **{objective: [] for objective in objectives},
            "files": dict.fromkeys(objectives),
            "goals": [],
        },
    }


async def create_year(
    connection: AsyncConnection,
    registry: Registry,
    viewer: Viewer,
    year: int,
    *,
    config: Mapping[str, Any] | None = None,
    is_started: bool = False,
) -> Submitted:
    """Create a year of the viewer's provider and submit its unit sync. Raises Forbidden, BadInput, or Conflict."""
    if not viewer.may(CONFIGURATION_EDIT):
        raise Forbidden("you may not configure years", permission=CONFIGURATION_EDIT)
    check_year(year)
    created = await connection.scalar(
        insert(YearConfiguration)
        .values(
            year=year,
            provider=viewer.provider,
            is_started=is_started,
            config=dict(default_config() if config is None else config),
        )
        .on_conflict_do_nothing()
        .returning(YearConfiguration.year)
    )
    if created is None:
        raise Conflict(f"year {year} exists already", reason="YEAR_EXISTS", year=year)
    sync = NewJob(
        job_type=JobType.UNIT_SYNC,
        provider=viewer.provider,
        entity_type=EntityType.GLOBAL_PER_YEAR,
        ingestion_method=IngestionMethod.API,
        target_type=TargetType.REFERENCE_DATA,
        year=year,
        config={"target_year": year},
        created_by=creator(viewer),
    )
    return await submit(connection, sync, registry[sync.job_type].locks(sync))
