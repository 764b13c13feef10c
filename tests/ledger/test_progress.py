from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gql_server.db.models import LIVE_STATES, JobResult, JobState, JobType, PipelineStatus
from gql_server.ledger.progress import PhaseKey, pipeline_status, progress

RUNNING, WAITING = JobState.RUNNING, JobState.NOT_STARTED
OK, WARNED, FAILED = JobResult.SUCCESS, JobResult.WARNING, JobResult.ERROR


def job(id: int, outcome: JobState | JobResult, job_type: JobType = JobType.CSV_INGEST) -> Any:
    finished = isinstance(outcome, JobResult)
    return SimpleNamespace(
        id=id,
        job_type=job_type,
        state=JobState.FINISHED if finished else outcome,
        result=outcome if finished else None,
    )


def chain(*outcomes: JobState | JobResult, aggregation: JobState | JobResult | None = None) -> list[Any]:
    """An ingest, its recalculations, and an aggregation if given."""
    kinds = [JobType.CSV_INGEST, *[JobType.EMISSION_RECALC] * (len(outcomes) - 1)]
    jobs = [job(index, outcome, kind) for index, (outcome, kind) in enumerate(zip(outcomes, kinds, strict=True), 1)]
    return jobs if aggregation is None else [*jobs, job(len(jobs) + 1, aggregation, JobType.AGGREGATION)]


def row(status: PipelineStatus | None, expected_recalc: int | None = None, kind: str | None = "csv_ingest") -> Any:
    return SimpleNamespace(status=status, expected_recalc=expected_recalc, kind=kind)


def test_shared_work_counts_but_is_never_the_root():
    shared = [job(1, RUNNING, JobType.EMISSION_RECALC)]
    own = [job(7, OK)]

    found = progress(own, row(PipelineStatus.RUNNING, 1), shared=shared)

    assert (found.phase, found.done, found.finished_jobs, found.expected_jobs) == (PhaseKey.EMISSIONS, False, 1, 3)
    assert pipeline_status(own, owes_aggregation=False, shared=shared) == PipelineStatus.RUNNING
    failed = [job(1, FAILED, JobType.EMISSION_RECALC)]
    assert pipeline_status(own, owes_aggregation=False, shared=failed) == PipelineStatus.PARTIAL
    assert pipeline_status([job(7, FAILED)], owes_aggregation=False, shared=shared[:0]) == PipelineStatus.FAILED


def test_p1_no_jobs_and_no_row_is_the_beginning():
    found = progress([])

    assert (found.phase, found.phase_index, found.phase_count) == (PhaseKey.DATA, 1, 3)
    assert (found.done, found.has_error, found.kind, found.status) == (False, False, None, None)
    assert (found.finished_jobs, found.expected_jobs, found.fraction) == (0, None, None)


def test_p3_the_stored_expectation_outweighs_a_partial_snapshot():
    found = progress(chain(OK, OK), row(PipelineStatus.RUNNING, expected_recalc=3))

    assert (found.phase, found.done) == (PhaseKey.EMISSIONS, False)
    assert (found.finished_jobs, found.expected_jobs, found.fraction) == (2, 5, 0.4)


def test_p4_an_aggregation_that_waits_is_the_last_phase():
    found = progress(chain(OK, OK, OK, aggregation=WAITING))

    assert (found.phase, found.done) == (PhaseKey.AGGREGATION, False)


def test_a_pipeline_that_was_aborted_expects_no_more_jobs_than_it_has():
    stopped = progress(chain(OK, OK, FAILED), row(PipelineStatus.PARTIAL, expected_recalc=2))
    before_any_began = progress(chain(FAILED), row(PipelineStatus.FAILED, expected_recalc=3))

    assert (stopped.finished_jobs, stopped.expected_jobs, stopped.fraction) == (3, 3, 1.0)
    assert (before_any_began.finished_jobs, before_any_began.expected_jobs, before_any_began.fraction) == (1, 1, 1.0)


def test_p6_a_leaf_that_succeeded_is_done_in_the_last_phase():
    found = progress([job(1, OK, JobType.UNIT_SYNC)], row(PipelineStatus.SUCCESS, 0, "unit_sync"))

    assert (found.phase, found.done, found.fraction, found.expected_jobs) == (PhaseKey.AGGREGATION, True, 1.0, 1)


def test_p7_a_stuck_recalculation_holds_the_pipeline_in_its_phase():
    found = progress(chain(OK, OK, RUNNING))

    assert (found.phase, found.done) == (PhaseKey.EMISSIONS, False)


def test_p8_a_row_that_runs_is_not_done_although_every_job_finished():
    found = progress(chain(OK, OK, aggregation=OK), row(PipelineStatus.RUNNING, 1))

    assert (found.phase, found.done) == (PhaseKey.AGGREGATION, False)


def test_p9_a_row_that_succeeded_is_done_although_the_snapshot_lags():
    found = progress(chain(OK, OK, aggregation=RUNNING), row(PipelineStatus.SUCCESS, 1))

    assert (found.done, found.has_error) == (True, False)


def test_p13_an_orphan_that_failed_is_done_with_an_error_and_no_status():
    found = progress([job(1, FAILED, JobType.API_INGEST)])

    assert (found.done, found.has_error, found.status, found.kind) == (True, True, None, "api_ingest")


def test_an_error_among_running_siblings_does_not_end_the_pipeline():
    assert progress(chain(OK, FAILED, RUNNING)).done is False
    assert progress(chain(OK, FAILED, WAITING)).done is False


def test_the_kind_is_the_roots_when_the_row_has_none():
    assert progress(chain(OK), row(PipelineStatus.SUCCESS, kind=None)).kind == "csv_ingest"


@pytest.mark.parametrize(
    ("jobs", "owes", "status"),
    [
        (chain(WAITING), False, PipelineStatus.NOT_STARTED),
        (chain(RUNNING), False, PipelineStatus.RUNNING),
        (chain(OK, OK, FAILED, RUNNING), False, PipelineStatus.RUNNING),
        (chain(OK, OK), True, PipelineStatus.RUNNING),
        (chain(WARNED, OK, aggregation=OK), False, PipelineStatus.SUCCESS),
        (chain(OK, OK, FAILED, aggregation=OK), False, PipelineStatus.PARTIAL),
        (chain(WARNED, OK, aggregation=FAILED), False, PipelineStatus.PARTIAL),
        (chain(FAILED, OK, aggregation=OK), False, PipelineStatus.FAILED),
        (chain(FAILED), False, PipelineStatus.FAILED),
        ([], False, None),
    ],
)
def test_p10_p12_the_verdict_follows_from_the_jobs(jobs: list[Any], owes: bool, status: PipelineStatus | None):
    assert pipeline_status(jobs, owes_aggregation=owes) == status


JOBS = st.lists(st.tuples(st.sampled_from([*LIVE_STATES, *JobResult]), st.sampled_from(JobType)), min_size=1, max_size=12).map(
    lambda specs: [job(id, outcome, kind) for id, (outcome, kind) in enumerate(specs, 1)]
)


@given(JOBS, st.booleans(), st.randoms())
def test_verdict_and_progress_agree_and_no_order_matters(jobs: Sequence[Any], owes: bool, random: Any):
    shuffled = random.sample(jobs, len(jobs))
    status = pipeline_status(jobs, owes_aggregation=owes)
    found = progress(jobs, row(status))

    assert pipeline_status(shuffled, owes_aggregation=owes) == status
    assert progress(shuffled, row(status)) == found
    assert found.done == (status in (PipelineStatus.SUCCESS, PipelineStatus.PARTIAL, PipelineStatus.FAILED))
    if found.done:
        assert not any(job.state in LIVE_STATES for job in jobs)
        assert found.has_error == any(job.result == FAILED for job in jobs)
    assert found.finished_jobs <= (found.expected_jobs or len(jobs))
