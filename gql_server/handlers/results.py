"""End of an ingest: the result, the message and the counts, the same for every kind of file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from gql_server.carbon.columns import Header
from gql_server.carbon.readers import RowRejected
from gql_server.db.models import JobResult
from gql_server.ledger.failures.ending import TOO_MANY_ROWS_REJECTED
from gql_server.worker import ClaimedJob, RejectedRow, Run

MAX_REJECTED_SHARE = "max_rejected_share"
"""Name, in a job's config and among a worker's resources, of the share of rows above which a file is refused."""
DEFAULT_REJECTED_SHARE = 0.5
"""Mark of a job that would have landed some rows, but rejected too many."""
ROW_ERRORS_KEPT = 100
REASON_LENGTH = 200
COLUMN_LENGTH = 60
COLUMNS_TOLD = 5


@dataclass(slots=True)
class IngestCounts:
    """Rows of a file, counted as they are read; the first 100 that something is to be told of are kept.

    `without_factor` counts those among the accepted that have no emission until their factor comes: they are told of where the
    rejected ones leave room. The file is refused when more than `max_rejected_share` of its rows are rejected. `header` tells
    which columns are read under another name, and which not at all.
    """

    accepted: int = 0
    rejected: int = 0
    warned: int = 0
    without_factor: int = 0
    batches: int = 0
    keep: int = ROW_ERRORS_KEPT
    max_rejected_share: float = DEFAULT_REJECTED_SHARE
    header: Header = field(default_factory=lambda: Header(()))
    errors: list[RejectedRow] = field(default_factory=list[RejectedRow])
    waiting: list[RejectedRow] = field(default_factory=list[RejectedRow])

    def add(
        self,
        accepted: int,
        rejected: Sequence[RowRejected],
        warned: Sequence[RowRejected] = (),
        waiting: Sequence[RowRejected] = (),
    ) -> None:
        """Count a batch. `warned` are rows that were accepted although something in them was ignored, `waiting` those that were
        without a factor."""
        self.batches += 1
        self.accepted += accepted
        self.rejected += len(rejected)
        self.warned += len(warned)
        self.without_factor += len(waiting)
        self._note(self.errors, sorted((*rejected, *warned), key=lambda row: row.row))
        self._note(self.waiting, waiting)

    def _note(self, kept: list[RejectedRow], rows: Sequence[RowRejected]) -> None:
        room = max(0, self.keep - len(kept))
        kept += [RejectedRow(row.row, row.reason, row.column, row.value) for row in rows[:room]]

    @property
    def row_errors(self) -> list[RejectedRow]:
        """The rows that are told of, in the order of the file."""
        return sorted([*self.errors, *self.waiting][: self.keep], key=lambda error: error.row or 0)

    @classmethod
    def of(cls, job: ClaimedJob, run: Run) -> Self:
        """A tally with the limits of the upload, else of the worker."""
        share = job.config.get(MAX_REJECTED_SHARE, run.resources.get(MAX_REJECTED_SHARE, DEFAULT_REJECTED_SHARE))
        return cls(keep=int(job.config.get("max_row_errors", ROW_ERRORS_KEPT)), max_rejected_share=float(share))

    @property
    def rejects_too_many(self) -> bool:
        """Some rows were accepted, but so many were not that the file is probably not what its sender thinks."""
        return self.accepted > 0 and self.rejected > self.max_rejected_share * (self.accepted + self.rejected)

    @property
    def result(self) -> JobResult:
        """One bad row of fifty thousand is a warning; too many, or nothing accepted, is an error."""
        if not self.accepted or self.rejects_too_many:
            return JobResult.ERROR
        return JobResult.WARNING if self.rejected or self.warned or self.without_factor else JobResult.SUCCESS

    @property
    def message(self) -> str:
        if self.rejects_too_many:
            return refusal_message(self.accepted, self.rejected, self.max_rejected_share, self.errors)
        errors = self.errors or self.waiting
        return ingest_message(self.result, self.accepted, self.rejected, errors, self.without_factor, self.header)

    @property
    def meta(self) -> dict[str, Any]:
        refused = {TOO_MANY_ROWS_REJECTED: True, MAX_REJECTED_SHARE: self.max_rejected_share}
        return {
            "rows_processed": self.accepted + self.rejected,
            "rows_skipped": self.rejected,
            "batches_processed": self.batches,
            "inserted": 0 if self.rejects_too_many else self.accepted,
            "skipped": self.rejected,
            "without_factor": self.without_factor,
            "row_errors_count": self.rejected + self.warned + self.without_factor,
            **(refused if self.rejects_too_many else {}),
        }


def ingest_message(
    result: JobResult,
    inserted: int,
    skipped: int,
    errors: Sequence[RejectedRow],
    without_factor: int = 0,
    header: Header | None = None,
) -> str:
    """The terminal message of an ingest: which columns are read under another name or not at all, and where not all went well,
    the counts and the first reason."""
    columns = _columns(header) if header else ""
    if result == JobResult.SUCCESS:
        return f"Success{columns}"
    waiting = f", {without_factor} without a factor yet" if without_factor else ""
    return _with_reason(f"{result.value}: {inserted} inserted, {skipped} skipped{waiting}{columns}", errors)


def _columns(header: Header) -> str:
    read_as = [f"{_quoted(sent)} as {name}" for sent, name in header.respelled.items()]
    return _told("columns read under another name", read_as) + _told(
        "columns that are not read", [*map(_quoted, header.unread)]
    )


def _told(what: str, columns: Sequence[str]) -> str:
    more = f" and {len(columns) - COLUMNS_TOLD} more" if len(columns) > COLUMNS_TOLD else ""
    return f", {what}: {', '.join(columns[:COLUMNS_TOLD])}{more}" if columns else ""


def _quoted(column: str) -> str:
    return f"“{column[:COLUMN_LENGTH]}”"


def refusal_message(accepted: int, rejected: int, share: float, errors: Sequence[RejectedRow]) -> str:
    """The terminal message of a file that is refused for the number of its rejected rows."""
    told = f"{rejected} of {accepted + rejected} rows were rejected, more than {share * 100:g} %, so nothing was replaced"
    return _with_reason(f"{JobResult.ERROR.value}: {told}", errors)


def _with_reason(counts: str, errors: Sequence[RejectedRow]) -> str:
    reason = next((error.reason for error in errors if error.reason), None)
    return counts if reason is None else f"{counts} — first error: {_cut(reason)}"


def _cut(reason: str) -> str:
    return reason if len(reason) <= REASON_LENGTH else reason[: REASON_LENGTH - 1] + "…"
