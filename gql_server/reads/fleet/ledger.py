"""State of the whole ledger, a provider at a time: what the lists, the facets and the health of its operators show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import models
from gql_server.db.models import Provider
from gql_server.ledger.leases import CLAIMABLE
from gql_server.policy import OPERATIONS_VIEW, Viewer
from gql_server.reads.facets import Value, facets
from gql_server.reads.fleet.checks import HealthChecks
from gql_server.reads.fleet.health import health_checks
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.years.aggregations import stale_aggregations
from gql_server.reads.years.freshness import ModuleFreshness

J = models.Job
FACETS = ("STATUS", "FAILURE_CLASS", "ALERT")


@dataclass(frozen=True, slots=True)
class LedgerState:
    """State of the ledger of one provider; `queued` are its jobs that are due, by type. Feed and workers are everybody's."""

    provider: str
    checks: HealthChecks
    stale: Sequence[ModuleFreshness]
    statuses: Mapping[str, int]
    failures: Mapping[str, int]
    alerts: Mapping[str, int]
    queued: Mapping[str, int]


async def ledger_states(connection: AsyncConnection, *, feed_sequence: int | None, feed_is_deaf: bool) -> list[LedgerState]:
    """The state of each provider's ledger, as its operators see it."""
    every: list[LedgerState] = []
    queued = await _queued(connection)
    for provider in Provider:
        viewer = Viewer(subject="metrics", provider=provider.value, permissions=frozenset({OPERATIONS_VIEW}))
        asked = PipelineCriteria()
        counted = (await facets(connection, viewer, [asked], names=FACETS, limit=None))[asked]
        checks = await health_checks(connection, viewer, feed_sequence=feed_sequence, feed_is_deaf=feed_is_deaf)
        stale = await stale_aggregations(connection, viewer)
        statuses, failures, alerts = (_numbers(counted[name]) for name in FACETS)
        every.append(LedgerState(provider.value, checks, stale, statuses, failures, alerts, queued.get(provider.value, {})))
    return every


def _numbers(values: Sequence[Value]) -> dict[str, int]:
    return {value.value: value.count for value in values}


async def _queued(connection: AsyncConnection) -> dict[str, dict[str, int]]:
    """Jobs that a worker could claim now, but for locks, by provider and type."""
    due = func.greatest(J.created_at, J.run_after) <= func.now()
    statement = select(J.provider, J.job_type, func.count().label("counted")).where(CLAIMABLE, due)
    found: dict[str, dict[str, int]] = {}
    for row in await connection.execute(statement.group_by(J.provider, J.job_type)):
        found.setdefault(str(row.provider), {})[row.job_type] = row.counted
    return found
