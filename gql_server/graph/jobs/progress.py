"""Progress inside a job as a client sees it: of rows, and of named stages."""

from datetime import datetime
from typing import Any

import strawberry

from gql_server.instants import recorded


@strawberry.type(description="Row-level progress of one job.")
class RowProgress:
    rows_stage: str | None = strawberry.field(name="stage", description="What it is doing with the rows.")
    rows_processed: int = strawberry.field(name="processed", description="Rows handled so far.")
    rows_total: int | None = strawberry.field(name="total", description="Rows to handle; null when not known.")
    rows_per_second: float | None = strawberry.field(description="Mean rate since the job started.")


@strawberry.type(description="One named stage of a staged job.")
class JobPhase:
    name: str = strawberry.field(description="Stable name, such as `fetch_units`.")
    state: str = strawberry.field(description="As the job wrote it: running, finished or failed.")
    started_at: datetime | None = strawberry.field(description="When the stage began.")
    finished_at: datetime | None = strawberry.field(description="When the stage ended.")

    @strawberry.field(description="Seconds from its begin to its end; null before the end.")
    def duration_seconds(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "JobPhase":
        """From the JSON of the job's bag."""
        return cls(
            name=str(raw.get("name", "")),
            state=str(raw.get("state", "")),
            started_at=recorded(raw.get("started_at")),
            finished_at=recorded(raw.get("finished_at")),
        )
