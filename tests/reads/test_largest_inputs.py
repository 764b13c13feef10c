"""No rule that answers a client does more than linear work: its steps for four times the input are about four times as many.

Steps are lines that Python executes, and comparisons that the inputs count: the same in every run, unlike seconds.
"""

import sys
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from gql_server.db.models import JobState, JobType
from gql_server.ledger.failures.fingerprint import cause_of
from gql_server.ledger.failures.rules import FailureClass
from gql_server.ledger.progress import pipeline_status, progress
from gql_server.reads.diagnosis.facts import DiagnosedPipeline, Fleet
from gql_server.reads.diagnosis.rules import REASONS_MAX, of_pipeline
from gql_server.reads.pipelines.comparison.comparison import ComparedJob, RunFacts, compare
from gql_server.reads.pipelines.graph.graph import Graph
from gql_server.reads.pipelines.graph.mermaid import mermaid
from gql_server.reads.pipelines.ticket.markdown import escaped
from tests.reads.diagnosis.test_failures import job

FEW = 250


class Text(str):
    """A text that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Text.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def steps(work: Callable[[], object]) -> int:
    """Lines of Python that the work executes, and comparisons of its texts."""
    lines = 0

    def trace(_frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before, compared = sys.gettrace(), Text.compared
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines + Text.compared - compared


def diagnosis(size: int) -> Callable[[], object]:
    classes = [*FailureClass]
    facts = DiagnosedPipeline(
        status="FAILED",
        owes_aggregation=False,
        taken_over_by=None,
        tally=_tally(size),
        recalculations=0,
        live_recalculations=0,
        jobs=[job(classes[number % len(classes)], f"failure {number}", id=number) for number in range(size)],
    )
    return lambda: of_pipeline(facts, Fleet(live_workers=1, revisions=1))


def _tally(size: int) -> Any:
    return SimpleNamespace(jobs=size, live=0, untouched=0, errors=size, root_failed=True)


def _jobs(size: int) -> list[Any]:
    """A root, recalculations of as many places, and an aggregation for every second one."""
    kinds = [JobType.CSV_INGEST, *[JobType.EMISSION_RECALC, JobType.AGGREGATION] * (size // 2)]
    return [
        SimpleNamespace(
            id=number,
            job_id=number,
            parent_job_id=None,
            job_type=kind.value,
            kind=kind.name,
            kind_raw=kind.value,
            state=JobState.RUNNING.value,
            result=None,
            module_type_id=4,
            data_entry_type_id=None,
            year=2025,
            duration_seconds=1.0,
            is_shared=False,
        )
        for number, kind in enumerate(kinds, start=1)
    ]


def graph(size: int) -> Callable[[], object]:
    jobs = _jobs(size)

    def draw() -> None:
        drawn = Graph.of(jobs)
        assert len(mermaid(drawn)) > size
        assert drawn.critical_path

    return draw


def progressing(size: int) -> Callable[[], object]:
    jobs = _jobs(size)
    return lambda: (progress(jobs), pipeline_status(jobs, owes_aggregation=False))


def comparison(size: int) -> Callable[[], object]:
    def run(shift: int) -> RunFacts:
        seconds = {ComparedJob("CSV_INGEST", number): float(number + shift) for number in range(size)}
        prints = [Text(f"{number:032x}") for number in range(shift, size + shift)]
        return RunFacts(None, 1.0, 1, seconds, prints)

    here, there = run(size // 2), run(0)
    return lambda: compare(here, there)


def ticket(size: int) -> Callable[[], object]:
    return lambda: [escaped("*" * 500) for _ in range(size)]


def cause(size: int) -> Callable[[], object]:
    texts = [f"row {number}: “{'x' * number}” is no unit, id={number}" for number in range(size)]
    return lambda: [cause_of.__wrapped__(text) for text in texts]


@pytest.mark.parametrize("rule", [diagnosis, graph, progressing, comparison, ticket, cause])
def test_four_times_the_input_takes_four_times_the_steps(rule: Callable[[int], Callable[[], object]]) -> None:
    few, many = steps(rule(FEW)), steps(rule(4 * FEW))

    assert few > 0
    assert many < 6 * few


def test_quadratic_work_would_be_found() -> None:
    def quadratic(size: int) -> Callable[[], object]:
        texts = [Text(number) for number in range(size)]
        return lambda: [text for text in texts if text not in texts[::-1]]

    assert steps(quadratic(4 * FEW)) > 12 * steps(quadratic(FEW))


def test_a_diagnosis_gives_a_bounded_number_of_reasons_the_worst_first() -> None:
    reasons: Any = diagnosis(500)()

    assert len(reasons) == REASONS_MAX
    assert {reason.severity for reason in reasons} == {"DANGER"}
