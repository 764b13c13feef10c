"""Progress inside a job as a client sees it: of rows, and of named stages."""

from datetime import datetime
from typing import Any, cast

import strawberry

from gql_server.graph.fields import computed
from gql_server.instants import recorded
from gql_server.reads.values import seconds_between


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

    duration_seconds: float | None = computed(
        seconds_between, "started_at", "finished_at", description="Seconds from its begin to its end; null before the end."
    )

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "JobPhase":
        """From the JSON of the job's bag."""
        return cls(
            name=str(raw.get("name", "")),
            state=str(raw.get("state", "")),
            started_at=recorded(raw.get("started_at")),
            finished_at=recorded(raw.get("finished_at")),
        )

    @classmethod
    def every(cls, raw: object) -> "list[JobPhase]":
        """From what is said of all stages; what is none is left out."""
        stages = cast(list[object], raw) if isinstance(raw, list) else []
        return [cls.of(cast(dict[str, Any], each)) for each in stages if isinstance(each, dict)]
