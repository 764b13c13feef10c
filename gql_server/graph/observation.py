"""Operations that have ended: counted by what they are known as, noted for the line of their request, and told of if slow."""

import time
from collections.abc import Awaitable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import structlog
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from gql_server import tracing
from gql_server.graph.context import Context
from gql_server.graph.operations import INVALID, Prepared
from gql_server.logs import note
from gql_server.metrics import LABELS, OPERATION_COST, OPERATION_SECONDS, OPERATIONS
from gql_server.policy import OPERATIONS_VIEW
from gql_server.reads.timings import TIMINGS, Timing
from gql_server.tallies import Count, Timer

REFUSED = "refused"

log = structlog.get_logger(__name__)


class Observed:
    """One operation, from when it was asked."""

    __slots__ = ("began", "context", "prepared", "slow_seconds", "timings")

    def __init__(self, prepared: Prepared, context: Any, slow_seconds: float, asked: Mapping[str, Any] | None = None) -> None:
        self.prepared, self.context, self.slow_seconds = prepared, context, slow_seconds
        self.began = time.perf_counter()
        self.timings: list[Timing] | None = None
        if asked and asked.get("trace") is True:
            self._keep_reads()

    def _keep_reads(self) -> None:
        """Keep the reads for an operator, who asks for them by `extensions: {"trace": true}`."""
        viewer = getattr(self.context, "viewer", None)
        if viewer is not None and viewer.may(OPERATIONS_VIEW):
            self.timings = []
            TIMINGS.set(self.timings)

    def told(self, result: ExecutionResult) -> ExecutionResult:
        """The result, with how long each read took in `extensions.trace` if that was asked for."""
        if self.timings is not None:
            result.extensions = {**(result.extensions or {}), "trace": self._trace(self.timings)}
        return result

    def _trace(self, timings: Sequence[Timing]) -> dict[str, Any]:
        reads = [
            {
                "query": timing.query,
                "keys": timing.keys,
                "startMs": _milliseconds(timing.began - self.began),
                "durationMs": _milliseconds(timing.seconds),
            }
            for timing in timings
        ]
        took = _milliseconds(time.perf_counter() - self.began)
        return {"document": self.prepared.digest, "durationMs": took, "reads": reads, **tracing.trace_id()}

    def ended(self, result: ExecutionResult | None) -> None:
        """Count it; without a result, it was cancelled."""
        seconds, prepared = time.perf_counter() - self.began, self.prepared
        cost = self.context.estimated if isinstance(self.context, Context) else 0
        outcome = _outcome(result)
        label = INVALID if outcome == REFUSED else LABELS.of(prepared.name, prepared.digest)
        count, timer, costs = _metrics(label, prepared.kind, outcome)
        count.value += 1
        timer.add(seconds)
        costs.value += cost
        fields = {"operation": prepared.name, "operation_type": prepared.kind, "document": prepared.digest, "cost": cost}
        note(fields)
        if seconds >= self.slow_seconds:
            log.warning("operation.slow", **fields, **self._viewer, duration_ms=round(1000 * seconds, 1))

    async def traced(self, outcome: Awaitable[ExecutionResult]) -> ExecutionResult:
        """Its outcome, in a span of its type and name."""
        prepared = self.prepared
        name = f"{prepared.kind} {prepared.name or 'anonymous'}"
        with tracing.child(name, graphql__document=prepared.digest, graphql__operation__name=prepared.name):
            return await outcome

    @property
    def _viewer(self) -> dict[str, str]:
        viewer = getattr(self.context, "viewer", None)
        return {"provider": viewer.provider, "subject": viewer.subject} if viewer else {}


@lru_cache(maxsize=1024)
def _metrics(label: str, type_: str, outcome: str) -> tuple[Count, Timer, Count]:
    """The metrics of operations of that label."""
    return OPERATIONS.of(label, type_, outcome), OPERATION_SECONDS.of(label), OPERATION_COST.of(label)


def _milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _outcome(result: ExecutionResult | None) -> str:
    if result is None:
        return "cancelled"
    if isinstance(result, PreExecutionError):
        return REFUSED
    return "errors" if result.errors else "ok"
