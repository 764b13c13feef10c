"""Metrics of the ledger: read as its operators would, at most every some seconds, however often somebody scrapes."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.carbon.catalog import MODULES
from gql_server.db.models import PipelineStatus
from gql_server.http.metrics import families
from gql_server.reads.fleet.ledger import LedgerState, ledger_states
from gql_server.reads.years.freshness import UP_TO_DATE, Freshness

KEPT_SECONDS = 15.0
DEADLINE_SECONDS = 8.0
STALE_REASONS = [reason.value for reason in Freshness if reason not in UP_TO_DATE]

log = structlog.get_logger(__name__)

Values = Iterator[tuple[Sequence[str], float]]


class LedgerMetrics(Collector):
    """The ledger as it was when it was read last; nothing of it while it cannot be read."""

    def __init__(
        self, engine: AsyncEngine, feed: Callable[[], Mapping[str, Any]], *, kept_seconds: float = KEPT_SECONDS
    ) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._feed = feed
        self._kept_seconds = kept_seconds
        self._states: list[LedgerState] = []
        self._tried_at: float | None = None
        self._took_seconds = 0.0
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Read the ledger, unless that was done a moment ago."""
        async with self._reading:
            began = time.monotonic()
            if self._tried_at is not None and began - self._tried_at < self._kept_seconds:
                return
            self._states = []
            try:
                async with asyncio.timeout(DEADLINE_SECONDS), self._engine.connect() as connection:
                    self._states = await ledger_states(connection, **self._feed())
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("ledger.unreadable", error=str(error).partition("\n")[0] or type(error).__name__)
            self._tried_at = time.monotonic()
            self._took_seconds = self._tried_at - began

    def collect(self) -> Iterable[GaugeMetricFamily]:
        states = self._states
        yield GaugeMetricFamily("gql_ledger_up", "1 if the ledger could be read.", value=float(bool(states)))
        yield GaugeMetricFamily("gql_ledger_read_seconds", "Time that reading it took.", value=self._took_seconds)
        if not states:
            return
        of_all = states[0].checks
        yield GaugeMetricFamily("gql_workers_live", "Workers whose heartbeat is not lost.", value=of_all.live_workers)
        yield GaugeMetricFamily("gql_worker_revisions", "Revisions that live workers run.", value=len(of_all.revisions))
        if of_all.feed_lag_seconds is not None:
            yield GaugeMetricFamily("gql_feed_lag_seconds", "Age of the oldest unread event.", value=of_all.feed_lag_seconds)
        by_provider = [
            ("gql_pipelines", "Pipelines by their stored status.", ["status"], _statuses),
            ("gql_pipelines_failed", "Pipelines by the classes of failures of their jobs.", ["failure_class"], _failures),
            ("gql_pipelines_unresolved", "Failed pipelines that nothing has made good since.", [], _unresolved),
            ("gql_pipelines_stuck", "Pipelines with a job whose worker has fallen silent.", [], _stuck_pipelines),
            ("gql_jobs_stuck", "Jobs whose worker has fallen silent.", [], _stuck),
            ("gql_jobs_queued", "Jobs that are due, and not claimed.", ["job_type"], _queued),
            ("gql_jobs_queued_oldest_seconds", "Time that the oldest of them has waited; 0 if there is none.", [], _oldest),
            ("gql_stale_scopes", "Modules of years whose totals are to be computed anew.", ["reason"], _stale),
            ("gql_stale_scope", "1 for each of them.", ["year", "module", "reason"], _each_stale),
        ]
        for name, description, labels, values in by_provider:
            each = (((state.provider, *labelled), value) for state in states for labelled, value in values(state))
            yield families(name, description, ["provider", *labels], each)


def _statuses(state: LedgerState) -> Values:
    for status in {**dict.fromkeys(status.value for status in PipelineStatus), **state.statuses}:
        yield [status], state.statuses.get(status, 0)


def _failures(state: LedgerState) -> Values:
    yield from (([name], count) for name, count in state.failures.items())


def _unresolved(state: LedgerState) -> Values:
    yield [], state.alerts.get("UNRESOLVED", 0)


def _stuck_pipelines(state: LedgerState) -> Values:
    yield [], state.alerts.get("STUCK", 0)


def _stuck(state: LedgerState) -> Values:
    yield [], state.checks.stuck_count


def _queued(state: LedgerState) -> Values:
    yield from (([job_type], count) for job_type, count in state.queued.items())


def _oldest(state: LedgerState) -> Values:
    yield [], state.checks.oldest_queued_seconds or 0.0


def _stale(state: LedgerState) -> Values:
    reasons = [scope.freshness for scope in state.stale]
    yield from (([reason], reasons.count(Freshness(reason))) for reason in STALE_REASONS)


def _each_stale(state: LedgerState) -> Values:
    for scope in state.stale:
        if scope.freshness is not None:
            yield [str(scope.year), MODULES[scope.module_type_id].key, scope.freshness.value], 1
