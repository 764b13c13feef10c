"""The newest jobs of a module in a year, of those that a viewer may see: for viewers who do not see them all."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from sqlalchemy import and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.models import RECALCULATIONS, JobState, JobType, TargetType
from gql_server.ledger.endings import has_landed
from gql_server.policy import Viewer, pipeline_clause

J, P = models.Job, models.Pipeline
CellKey = tuple[int, int]

BEGUN = and_(J.job_type.in_(RECALCULATIONS), J.state.in_((JobState.RUNNING, JobState.FINISHED)))
FACTORS_LANDED = and_(J.target_type == TargetType.FACTORS, has_landed())


class VisibleJobs(NamedTuple):
    """The newest factors that landed, and the newest recalculation that has begun."""

    factor_job_id: int | None = None
    recalculation_job_id: int | None = None


NO_VISIBLE_JOBS = VisibleJobs()


@dataclass(slots=True)
class VisibleJobsOfModule:
    """The newest jobs about a module, and about its entry types: a job without one is about all that it lists, or about
    all of them if it has factors."""

    aggregation_job_id: int | None = None
    common_factor_job_id: int | None = None
    factor_job_ids: dict[int, int | None] = field(default_factory=dict[int, int | None])
    recalculation_job_ids: dict[int, int | None] = field(default_factory=dict[int, int | None])

    def see(self, row: Any) -> None:
        """Take in the newest jobs of one entry type, or of one list of them."""
        self.aggregation_job_id = _newest(self.aggregation_job_id, row.aggregation)
        if row.data_entry_type_id is None:
            self.common_factor_job_id = _newest(self.common_factor_job_id, row.factors)
        else:
            self.factor_job_ids[row.data_entry_type_id] = _newest(self.factor_job_ids.get(row.data_entry_type_id), row.factors)
        for entry_type in _about(row):
            known = self.recalculation_job_ids.get(entry_type)
            self.recalculation_job_ids[entry_type] = _newest(known, row.recalculation)

    def of(self, entry_type: int) -> VisibleJobs:
        factors = _newest(self.common_factor_job_id, self.factor_job_ids.get(entry_type))
        return VisibleJobs(factors, self.recalculation_job_ids.get(entry_type))


async def newest_visible(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[CellKey]
) -> Mapping[CellKey, VisibleJobsOfModule]:
    """Newest jobs of each module and year, from all jobs of the pipelines that they may see: of their units, a few."""
    newest, listed = func.max(J.id), J.config["data_entry_type_ids"]
    place = (J.year, J.module_type_id, J.data_entry_type_id, listed)
    rows = await connection.execute(
        select(
            *place[:3],
            listed.label("listed"),
            newest.filter(J.job_type == JobType.AGGREGATION).label("aggregation"),
            newest.filter(FACTORS_LANDED).label("factors"),
            newest.filter(BEGUN).label("recalculation"),
        )
        .select_from(P)
        .join(J, J.pipeline_id == P.id)
        .where(pipeline_clause(viewer), J.provider == viewer.provider, tuple_(J.year, J.module_type_id).in_(keys))
        .group_by(*place)
    )
    found: defaultdict[CellKey, VisibleJobsOfModule] = defaultdict(VisibleJobsOfModule)
    for row in rows:
        found[row.year, row.module_type_id].see(row)
    return found


def _about(row: Any) -> Sequence[int]:
    if row.data_entry_type_id is not None:
        return (row.data_entry_type_id,)
    listed: object = row.listed
    return [each for each in cast(list[object], listed) if isinstance(each, int)] if isinstance(listed, list) else ()


def _newest(*ids: int | None) -> int | None:
    return max((id for id in ids if id is not None), default=None)
