"""Operations that have ended: counted by what they are known as, noted for the line of their request, and told of if slow."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import structlog
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from gql_server import tracing
from gql_server.graph.context import Context
from gql_server.graph.operations import Prepared
from gql_server.logs import note
from gql_server.metrics import LABELS, OPERATION_COST, OPERATION_SECONDS, OPERATIONS
from gql_server.policy import OPERATIONS_VIEW
from gql_server.reads.timings import TIMINGS, Timing
from gql_server.tallies import Count, Timer

INVALID = "invalid"
"""Label of documents that are not executed, whatever they are."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Observed:
    """One operation, from when it was asked."""

    prepared: Prepared
    context: Any
    slow_seconds: float
    asked: Mapping[str, Any] | None = None
    began: float = field(default_factory=time.perf_counter)
    timings: list[Timing] | None = None

    def __post_init__(self) -> None:
        """Keep its reads if an operator asks for them by `extensions: {"trace": true}`."""
        viewer = getattr(self.context, "viewer", None)
        if self.asked and self.asked.get("trace") is True and viewer is not None and viewer.may(OPERATIONS_VIEW):
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
        seconds, type_ = time.perf_counter() - self.began, self._type
        cost = self.context.estimated if isinstance(self.context, Context) else 0
        count, timer, costs = _metrics(self._label(result), type_, _outcome(result))
        count.value += 1
        timer.add(seconds)
        costs.value += cost
        fields = {"operation": self.prepared.name, "operation_type": type_, "document": self.prepared.digest, "cost": cost}
        note(**fields)
        if seconds >= self.slow_seconds:
            log.warning("operation.slow", **fields, **self._viewer, duration_ms=round(1000 * seconds, 1))

    def span(self) -> AbstractContextManager[Any]:
        """A span of its type and name, where something is recorded."""
        if not tracing.is_on():
            return tracing.UNRECORDED
        prepared = self.prepared
        name = f"{self._type} {prepared.name or 'anonymous'}"
        return tracing.child(name, graphql__document=prepared.digest, graphql__operation__name=prepared.name)

    @property
    def _type(self) -> str:
        return self.prepared.operation.operation.value if self.prepared.operation else INVALID

    @property
    def _viewer(self) -> dict[str, str]:
        viewer = getattr(self.context, "viewer", None)
        return {"provider": viewer.provider, "subject": viewer.subject} if viewer else {}

    def _label(self, result: ExecutionResult | None) -> str:
        if isinstance(result, PreExecutionError):
            return INVALID
        return LABELS.of(self.prepared.name, self.prepared.digest)


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
        return "refused"
    return "errors" if result.errors else "ok"
