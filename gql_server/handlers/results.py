"""How an ingest ends: the verdict, the message and the counts, the same for every kind of file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gql_server.carbon.readers import RowRejected
from gql_server.db.models import JobResult
from gql_server.worker import RowError

ROW_ERRORS_KEPT = 100
REASON_LENGTH = 200


@dataclass(slots=True)
class Tally:
    """Rows of a file, counted as they are read; the first 100 rejected ones are kept."""

    accepted: int = 0
    rejected: int = 0
    warned: int = 0
    batches: int = 0
    keep: int = ROW_ERRORS_KEPT
    errors: list[RowError] = field(default_factory=list[RowError])

    def add(self, accepted: int, rejected: Sequence[RowRejected], warned: Sequence[RowRejected] = ()) -> None:
        """Count a batch. `warned` are rows that were accepted although something in them was ignored."""
        self.batches += 1
        self.accepted += accepted
        self.rejected += len(rejected)
        self.warned += len(warned)
        room = max(0, self.keep - len(self.errors))
        noted = sorted((*rejected, *warned), key=lambda row: row.row)[:room]
        self.errors += [RowError(row.row, row.reason, row.column, row.value) for row in noted]

    @property
    def result(self) -> JobResult:
        """One bad row of fifty thousand is a warning; nothing accepted is an error."""
        if not self.accepted:
            return JobResult.ERROR
        return JobResult.WARNING if self.rejected or self.warned else JobResult.SUCCESS

    @property
    def message(self) -> str:
        return ingest_message(self.result, self.accepted, self.rejected, self.errors)

    @property
    def meta(self) -> dict[str, Any]:
        return {
            "rows_processed": self.accepted + self.rejected,
            "rows_skipped": self.rejected,
            "batches_processed": self.batches,
            "inserted": self.accepted,
            "skipped": self.rejected,
            "row_errors_count": self.rejected + self.warned,
        }


def ingest_message(result: JobResult, inserted: int, skipped: int, errors: Sequence[RowError]) -> str:
    """The terminal message of an ingest: where not all went well, the counts and the first reason."""
    if result == JobResult.SUCCESS:
        return "Success"
    counts = f"{result.value}: {inserted} inserted, {skipped} skipped"
    reason = next((error.reason for error in errors if error.reason), None)
    return counts if reason is None else f"{counts} — first error: {_cut(reason)}"


def _cut(reason: str) -> str:
    return reason if len(reason) <= REASON_LENGTH else reason[: REASON_LENGTH - 1] + "…"
