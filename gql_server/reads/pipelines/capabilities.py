"""Reads of what decides whether the work of pipelines can be started again: one statement for all of them."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, and_, case, cast, func, null, or_, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from gql_server.db import models
from gql_server.db.expressions import AnySelect, found, given_keys, number
from gql_server.db.models import LIVE_STATES, READING_JOBS, TERMINAL_STATUSES, JobState, JobType
from gql_server.db.models.carbon import Unit
from gql_server.ledger.endings import has_landed
from gql_server.ledger.resume import RESUMED, has_failed_steps
from gql_server.policy import Viewer, job_clause, year_clause
from gql_server.policy.retry import RetryFacts
from gql_server.reads.jobs.queries import JOBS
from gql_server.reads.jobs.row import PIPELINE_KEY
from gql_server.reads.pipelines.same_file import ADD_AGAIN, bringing_same_file
from gql_server.reads.pipelines.superseded import superseding
from gql_server.reads.shapes import built_once

J, P, U, Y = models.Job, models.Pipeline, models.Upload, models.YearConfiguration
OTHER = aliased(models.Job)
FACTS = tuple(field.name for field in fields(RetryFacts))
SAME = ("year", "module_type_id", "data_entry_type_id")


async def retry_facts_by_pipeline(connection: AsyncConnection, viewer: Viewer, keys: Sequence[UUID]) -> dict[UUID, RetryFacts]:
    """The facts of each pipeline, from its root job."""
    rows = await _retry_facts(viewer.shared()).named(connection, {"keys": list(keys)})
    return {row.key: RetryFacts(**row._asdict()) for row in rows}


@built_once
def _retry_facts(viewer: Viewer) -> AnySelect:
    is_live = OTHER.state.in_(LIVE_STATES)
    newer = superseding()
    of_year = and_(Y.provider == J.provider, Y.year == J.year)
    known: dict[str, ColumnElement[Any]] = {
        "key": PIPELINE_KEY,
        "target_type": cast(J.target_type, Text),
        "provider": cast(J.provider, Text),
        "unit_institutional_id": P.unit_institutional_id.expression,
        "unit_is_known": found(Unit.provider == J.provider, Unit.institutional_id == P.unit_institutional_id),
        "has_ended": func.coalesce(
            case((P.id.is_(None), J.state == JobState.FINISHED), else_=P.status.in_(TERMINAL_STATUSES)), False
        ),
        "has_file": found(U.id == J.upload_id, U.pruned_at.is_(None)),
        "has_landed": has_landed(),
        "resumes": case((has_landed(), has_failed_steps(J.pipeline_id, J.id)), else_=J.config.has_key(RESUMED)),
        "read_by": _newest(OTHER.upload_id == J.upload_id, OTHER.year == J.year, is_live),
        "done_by": case(
            (or_(J.job_type.is_(None), J.job_type.in_(READING_JOBS)), null()),
            (J.scope_key.is_not(None), _newest(OTHER.scope_key == J.scope_key, is_live)),
            else_=_newest(OTHER.provider == J.provider, OTHER.job_type == J.job_type, *map(_same, SAME), is_live),
        ),
        "superseded_by": newer.c.key,
        "is_superseded_wholly": newer.c.wholly,
        "brought_by": case((and_(J.job_type == JobType.CSV_INGEST, ~J.config.has_key(ADD_AGAIN)), _same_file())),
        "year_is_visible": found(of_year, year_clause(viewer)),
        "year_is_provisioned": found(of_year, Y.configuration_completed.is_not(None)),
    }
    columns = [(known[name] if name in known else getattr(J, name)).label(name) for name in FACTS]
    # first the roots, then what costs more to know
    roots = _roots(viewer).cte("roots").prefix_with("MATERIALIZED")
    return select(*columns).select_from(JOBS.join(roots, roots.c.id == J.id).join(newer, true()))


def _roots(viewer: Viewer) -> AnySelect:
    """Ids of the first job of each pipeline, of those that the viewer may see: a step through an index for each."""
    asked = func.unnest(given_keys(P.id)).table_valued("key").render_derived(name="asked")
    seen = select(J.id).select_from(JOBS).where(job_clause(viewer, by_key=True)).correlate(asked)
    first = seen.where(J.pipeline_id == asked.c.key).order_by(J.id).limit(number(1))
    root = union_all(first, seen.where(J.pipeline_id.is_(None), J.time_key == asked.c.key)).lateral("root")
    return select(root.c.id).join_from(asked, root, true())


def _newest(*where: ColumnElement[bool]) -> ColumnElement[Any]:
    """Key of the pipeline of the newest such job; ordered as the index of scopes is."""
    key = func.coalesce(OTHER.pipeline_id, OTHER.time_key)
    return select(key).where(*where).order_by(OTHER.scope_key.desc(), OTHER.id.desc()).limit(1).scalar_subquery()


def _same_file() -> ColumnElement[Any]:
    """Key of the pipeline that brought the same bytes for the unit by another upload."""
    digest = select(U.sha256).where(U.id == J.upload_id).correlate(J).scalar_subquery()
    names = ("provider", "year", "module_type_id", "data_entry_type_id", "upload_id")
    columns = {name: getattr(J, name) for name in names}
    return bringing_same_file(unit=P.unit_institutional_id, sha256=digest, **columns).correlate(J, P).scalar_subquery()


def _same(name: str) -> ColumnElement[bool]:
    return getattr(OTHER, name).is_not_distinct_from(getattr(J, name))
