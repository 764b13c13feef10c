"""Jobs that somebody follows, and who changes them: every change has a number, which the followers see in the job's message."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.ledger.wakeup import wake_feed

WRITERS = 4

_RUNNING = text("""
WITH made AS (
  INSERT INTO pipelines (provider, kind, status, entity_type, ingestion_method, module_type_id, year, job_count, started_at)
  SELECT 'ACCRED', 'csv_ingest', 'RUNNING', 'MODULE_PER_YEAR', 'csv', 4, 2025, 1, now() FROM generate_series(1, :count)
  RETURNING id
)
INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, ingestion_method, target_type, provider, module_type_id,
  year, state, status_message, attempts, started_at)
SELECT id, 'csv_ingest', 'MODULE_PER_YEAR', 'csv', 'DATA_ENTRIES', 'ACCRED', 4, 2025, 'RUNNING', 'Started', 1, now() FROM made
RETURNING id, pipeline_id
""")
_CHANGE = text("UPDATE data_ingestion_jobs SET status_message = :message WHERE id = ANY(:jobs)")


class Running(NamedTuple):
    """A pipeline that runs, and its job."""

    key: UUID
    job_id: int


@dataclass
class Ledger:
    """Jobs that run, and the changes that were written of them: by number, the pipeline and the time."""

    engine: AsyncEngine
    tag: int = 0
    written: dict[int, tuple[UUID, float]] = field(default_factory=dict[int, tuple[UUID, float]])

    async def start(self, count: int) -> list[Running]:
        async with self.engine.begin() as connection:
            rows = await connection.execute(_RUNNING, {"count": count})
            return [Running(UUID(str(row.pipeline_id)), row.id) for row in rows]

    async def change(self, *changed: Running, silently: bool = False) -> int:
        """Commit a change of these pipelines, wake the feed unless silently, and return its number."""
        self.tag += 1
        tag = self.tag
        async with self.engine.begin() as connection:
            await connection.execute(_CHANGE, {"message": f"#{tag}", "jobs": [each.job_id for each in changed]})
        self.written[tag] = (changed[0].key, monotonic())
        if not silently:
            await wake_feed(self.engine)
        return tag

    async def keep_changing(self, running: Sequence[Running], rate: int, seconds: float) -> float:
        """Change one after the other, so many a second, for so long; how long it took."""
        started = monotonic()
        await asyncio.gather(*[self._write(running, rate, seconds, part) for part in range(WRITERS)])
        return monotonic() - started

    async def _write(self, running: Sequence[Running], rate: int, seconds: float, part: int) -> None:
        """This writer's part of the changes, each at its time, or as soon after as the database lets."""
        started = monotonic()
        for number in range(part, int(rate * seconds), WRITERS):
            await asyncio.sleep(max(0.0, started + number / rate - monotonic()))
            await self.change(running[number % len(running)])

    def newest(self, first: int) -> set[int]:
        """The last change of each pipeline, of those from `first` on."""
        return set({self.written[tag][0]: tag for tag in range(first, self.tag + 1)}.values())

    def lags(self, first: int, arrivals: Mapping[int, float]) -> list[float]:
        """Seconds from each commit until somebody saw it, or a later one of its pipeline; `arrivals` are by number."""
        shown: dict[UUID, float] = {}
        lags: list[float] = []
        for tag in range(self.tag, first - 1, -1):
            key, committed = self.written[tag]
            shown[key] = arrivals[tag] if tag in arrivals else shown[key]
            lags.append(shown[key] - committed)
        return lags[::-1]
