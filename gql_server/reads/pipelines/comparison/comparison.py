"""The difference between a run and a baseline, as a pure function of what is known of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

SLOWEST_MAX = 5
Number = TypeVar("Number", int, float)


class ComparedJob(NamedTuple):
    """A sort of job in a pipeline."""

    kind: str
    data_entry_type_id: int | None


@dataclass(frozen=True, slots=True)
class Delta:
    """A step that took longer, by that many seconds."""

    kind: str
    data_entry_type_id: int | None
    delta_seconds: float


@dataclass(slots=True)
class RunFacts:
    """Facts on one run. `seconds` sums the finished jobs of each step; `duration` is null until the run has ended."""

    row: Any
    duration: float | None = None
    rows_written: int | None = None
    seconds: dict[ComparedJob, float] = field(default_factory=dict[ComparedJob, float])
    fingerprints: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Changes against the baseline, a pipeline's row."""

    baseline: Any
    duration_delta_seconds: float | None
    rows_delta: int | None
    new_fingerprints: list[str]
    fixed_fingerprints: list[str]
    slowest_jobs: list[Delta]


def compare(run: RunFacts, baseline: RunFacts) -> Comparison:
    """Compare two runs. What is not known of both is null, or left out."""
    here, there = set(run.fingerprints), set(baseline.fingerprints)
    return Comparison(
        baseline=baseline.row,
        duration_delta_seconds=_difference(run.duration, baseline.duration),
        rows_delta=_difference(run.rows_written, baseline.rows_written),
        new_fingerprints=[each for each in run.fingerprints if each not in there],
        fixed_fingerprints=[each for each in baseline.fingerprints if each not in here],
        slowest_jobs=slowest(run.seconds, baseline.seconds),
    )


def slowest(seconds: Mapping[ComparedJob, float], before: Mapping[ComparedJob, float]) -> list[Delta]:
    """The steps of both runs that took longer than before, the largest slow-down first, at most five."""
    slower = [Delta(*step, took - before[step]) for step, took in seconds.items() if step in before and took > before[step]]
    return sorted(slower, key=lambda delta: -delta.delta_seconds)[:SLOWEST_MAX]


def _difference(here: Number | None, there: Number | None) -> Number | None:
    return None if here is None or there is None else here - there
