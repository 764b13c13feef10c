"""Run of a handler: its job's progress, its uploaded file, and the providers of outside data."""

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import ledger
from gql_server.files import BUCKET, FileMissing, Files, StoreUnavailable
from gql_server.ledger import wakeup
from gql_server.ledger.job import ClaimedJob

COUNTERS_EVERY_SECONDS = 0.5


class JobError(Exception):
    """Raise it in a handler to end the job with this one sentence as its message, and nothing written."""

    def __init__(self, message: str, **meta: Any) -> None:
        super().__init__(message)
        self.meta = meta


class LeaseLost(Exception):
    """The job belongs to another worker, or was aborted: stop, and write nothing."""


class Run:
    """One attempt at a job. Progress goes over short connections of its own, so that it is seen at once and the
    handler's transaction stays untouched; it is compare-and-set, and raises LeaseLost when the job is gone."""

    def __init__(self, engine: AsyncEngine, worker: str, job: ClaimedJob, resources: Mapping[str, Any]) -> None:
        self.engine = engine
        self.resources = resources
        self._worker = worker
        self._job = job
        self._counted_at = 0.0
        self._phases: list[dict[str, Any]] = []

    def restart(self) -> None:
        """Forget the stages of a try that was rolled back."""
        self._phases = []
        self._counted_at = 0.0

    async def progress(self, message: str) -> None:
        """A sentence for the operator, kept in the job's history."""
        await self._note(message=message)

    async def count(self, stage: str, processed: int, total: int | None = None) -> None:
        """Rows handled so far in a stage. Call it as often as you like: it is written at most twice a second."""
        now = time.monotonic()
        if now - self._counted_at < COUNTERS_EVERY_SECONDS:
            return
        self._counted_at = now
        await self._note(meta={"progress": {"phase": stage, "processed": processed, "total": total}})

    async def phase(self, name: str, message: str | None = None) -> None:
        """Start a named stage of a staged job; the one before is finished."""
        self._close_phase("finished")
        self._phases.append({"name": name, "state": "running", "started_at": _now(), "finished_at": None})
        await self._note(message=message, meta={"phases": self._phases})

    def phases(self, state: str = "finished") -> dict[str, Any]:
        """The checklist with its last stage closed in `state`, to be stored with the outcome; empty when there is none."""
        self._close_phase(state)
        return {"phases": self._phases} if self._phases else {}

    @asynccontextmanager
    async def uploaded_file(self) -> AsyncGenerator[Path]:
        """The job's uploaded file, streamed to a temporary file that is removed afterwards. Raises JobError without one."""
        with tempfile.TemporaryDirectory(prefix="gql-server-") as folder:
            path = Path(folder) / "upload"
            await self._download(path)
            yield path

    async def _download(self, path: Path) -> None:
        if self._job.upload_id is None:
            raise JobError("the job has no uploaded file")
        files = Files(self.engine, self.resources.get(BUCKET))
        try:
            async with aclosing(files.open(self._job.upload_id)) as chunks:
                with path.open("wb") as file:
                    async for chunk in chunks:
                        await asyncio.to_thread(file.write, chunk)
        except (FileMissing, StoreUnavailable) as error:
            raise JobError(str(error)) from None

    def _close_phase(self, state: str) -> None:
        if self._phases and self._phases[-1]["state"] == "running":
            self._phases[-1] |= {"state": state, "finished_at": _now()}

    async def _note(self, *, message: str | None = None, meta: Mapping[str, Any] | None = None) -> None:
        async with self.engine.begin() as connection:
            if not await ledger.note(connection, self._worker, self._job, message=message, meta=meta):
                raise LeaseLost
        await wakeup.wake_feed(self.engine)


def _now() -> str:
    return datetime.now(UTC).isoformat()
