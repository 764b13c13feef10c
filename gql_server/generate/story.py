"""One pipeline while it is told: its jobs are submitted, claimed and ended as the runner, a crash or an operator would."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from gql_server.db.models import HistoryKind, JobResult, JobState, JobType
from gql_server.generate import texts
from gql_server.generate.calendar import Occasion
from gql_server.generate.drafts import Draft, DraftJob, uuid7
from gql_server.worker import Registry

SECONDS = {
    JobType.CSV_INGEST: (1.0, 12, 180),
    JobType.API_INGEST: (1.0, 20, 180),
    JobType.FACTOR_INGEST: (0.5, 4, 60),
    JobType.REFERENCE_INGEST: (0.5, 3, 60),
    JobType.UNIT_SYNC: (10.0, 35, 120),
    JobType.EMISSION_RECALC: (0.5, 4, 65),
    JobType.MODULE_EMISSION_RECALC: (1.0, 15, 180),
    JobType.AGGREGATION: (0.2, 1, 5),
}
"""Shortest, usual and longest run of each kind."""


@dataclass(slots=True)
class World:
    """Chance, people, files and locks that stories are made of."""

    random: Random
    registry: Registry
    provider: str
    units: Sequence[str]
    modules: dict[tuple[int, int], list[int]]
    """Ids of the report modules, by module and year, in the order of `units`."""
    authors: Sequence[str]
    workers: Sequence[str]
    until: datetime
    waiting: set[tuple[object, ...]] = field(default_factory=set[tuple[object, ...]])
    """Scopes in which an unclaimed recalculation or aggregation waits: there is at most one of each."""
    lock_keys: dict[tuple[object, ...], list[str]] = field(default_factory=dict[tuple[object, ...], list[str]])

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def seconds(self, job_type: str) -> float:
        """Duration of such a job, in seconds."""
        low, usual, high = SECONDS[JobType(job_type)]
        return min(max(self.random.lognormvariate(0, 0.9) * usual, low), high)


@dataclass(slots=True)
class Story:
    """One pipeline while it is told, or an orphan when `pipeline_id` is None. The first job is its root."""

    world: World
    occasion: Occasion
    pipeline_id: UUID | None
    jobs: list[Draft] = field(default_factory=list[Draft])
    unit: str | None = None
    author: str | None = None
    upload: tuple[UUID, str] | None = None
    owes_aggregation: bool = False
    aborted_at: datetime | None = None
    legacy: bool = False
    """Written by the system before this one: no parents, and never a debt."""

    def submit(self, job_type: str | None, at: datetime, parent: Draft | None = None, **values: Any) -> Draft:
        """A job that waits."""
        world, place = self.world, self.occasion
        scope: dict[str, Any] = {"module_type_id": place.module_type_id, "year": place.year}
        job = DraftJob(
            time_key=uuid7(world.random, at),
            pipeline_id=self.pipeline_id,
            job_type=job_type,
            provider=world.provider,
            created_at=at,
            **scope | values,
        )
        if job_type is not None:
            job.lock_keys = self._lock_keys(job)
        draft = Draft(job, None if self.legacy else parent)
        self.jobs.append(draft)
        return draft

    def claim(self, draft: Draft, at: datetime | None = None) -> datetime:
        """A worker takes the job; now and then the first one falls silent. Returns when the last attempt began."""
        world, job = self.world, draft.job
        at = at or job.created_at + timedelta(seconds=min(world.random.expovariate(0.5), 30))
        lucky = world.random.random()
        job.attempts = 1 if lucky < 0.97 else 2 if lucky < 0.99 else 3
        job.started_at = at
        for attempt in range(2, job.attempts + 1):
            at += timedelta(seconds=world.random.uniform(12, 20))
            draft.note(f"Recovered: worker {world.random.choice(world.workers)} fell silent", at, HistoryKind.RECOVERED)
            draft.tell(f"Attempt {attempt} of {job.max_attempts}", at, HistoryKind.RETRIED)
        job.state, job.locked_at = JobState.RUNNING.value, at
        job.locked_by = job.claimed_by = world.random.choice(world.workers)
        return at

    def finish(self, draft: Draft, result: JobResult, message: str, **meta: Any) -> datetime:
        """The job ends after a usual time."""
        job = draft.job
        began = job.locked_at or self.claim(draft)
        at = began + timedelta(seconds=self.world.seconds(job.job_type or JobType.AGGREGATION))
        draft.meta |= meta
        draft.note(message, at, HistoryKind.FINISHED)
        job.state, job.result, job.finished_at, job.locked_at = JobState.FINISHED.value, result.value, at, at
        return at

    def give_up(self, draft: Draft) -> datetime:
        """The worker of the last attempt fell silent too."""
        job = draft.job
        job.attempts = 3
        at = (job.locked_at or job.created_at) + timedelta(seconds=15)
        draft.note(f"Given up by auto-recovery: worker {job.locked_by} fell silent in attempt 3 of 3", at, HistoryKind.FINISHED)
        draft.meta["given_up"] = True
        return self._ended_by_others(draft, at)

    def abort(self, draft: Draft, at: datetime) -> datetime:
        """An operator ends the job."""
        mail = f"{self.world.random.choice(('operator', 'zoe.muller', 'aicha.ndiaye'))}@example.org"
        draft.meta |= {"aborted": True, "aborted_by": mail, "aborted_at": at.isoformat(), "abort_reason": "mauvais fichier"}
        draft.note(f"Aborted by {mail}", at, HistoryKind.ABORTED)
        self.aborted_at = at
        self.owes_aggregation = False
        return self._ended_by_others(draft, at)

    def reads_file(self, draft: Draft) -> None:
        """The job is about an uploaded file."""
        name = texts.file_name(self.world.random, self.occasion.year)
        self.upload = (uuid7(self.world.random, draft.job.created_at - timedelta(milliseconds=40)), name)
        draft.job.upload_id = self.upload[0]
        draft.meta |= {"provider_name": "csv", "filters": {}, "filename": name}

    def _ended_by_others(self, draft: Draft, at: datetime) -> datetime:
        job = draft.job
        job.state, job.result, job.finished_at = JobState.FINISHED.value, JobResult.ERROR.value, at
        job.locked_by = job.locked_at = None
        draft.keeps_place = False
        return at

    def _lock_keys(self, job: DraftJob) -> list[str]:
        key = (job.job_type, job.module_type_id, job.year)
        if key not in self.world.lock_keys:
            locks = self.world.registry[str(job.job_type)].locks(job)
            self.world.lock_keys[key] = [str(lock) for lock in locks]
        return self.world.lock_keys[key]
