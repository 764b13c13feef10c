"""End of a job, as far as the rules of failures look at it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gql_server.ledger.failures.fingerprint import cause_of

REASON_LENGTH = 199
TOO_MANY_ROWS_REJECTED = "too_many_rows_rejected"
"""Mark in the meta of an ingest that was refused for the share of its rows that were rejected."""


@dataclass(frozen=True)
class Ending:
    """End of a job, as far as the rules look at it. `meta` is its bag, of any shape; `refused` says that the job itself gave up
    in words of its own, rather than with an unexpected error."""

    job_type: str | None
    result: str | None
    message: str | None
    meta: Mapping[str, Any]
    refused: bool = False

    @cached_property
    def says_why(self) -> bool:
        return bool(self.message and self.message.strip() and self.message.strip().lower() != "success")

    @cached_property
    def error(self) -> str:
        """Text of the exception, if one was recorded."""
        return next((text for key in ("error", "validation_error") if isinstance(text := self.meta.get(key), str)), "")

    @cached_property
    def cause(self) -> str:
        return cause_of(self.message if self.says_why else self.error)

    @cached_property
    def rejected(self) -> int:
        """Rows, or entries of a recalculation, that were left out, as far as the job counted them."""
        return max(self._count("row_errors_count"), self.left_out, len(self._row_errors))

    @cached_property
    def left_out(self) -> int:
        """Number of rows that did not land, or could not be computed."""
        told = re.match(r"(?:ERROR|WARNING): \d+ inserted, (\d{1,18}) skipped", self.message or "")
        return max(self._count("rows_skipped", "skipped", "total_errors", "errors"), int(told[1]) if told else 0)

    @cached_property
    def without_factor(self) -> int:
        """Rows, or entries, that wait for a factor."""
        return self._count("without_factor")

    @cached_property
    def first_reason(self) -> str:
        """Reason of the first of them, in the shape that rows of the same fault share."""
        _, found, told = (self.message or "").partition("first error: ")
        stored = self._row_errors[0] if self._row_errors else None
        reason = told if found else stored.get("reason") if isinstance(stored, dict) else None
        return cause_of(reason[:REASON_LENGTH]) if isinstance(reason, str) else ""

    def is_marked(self, mark: str) -> bool:
        return self.meta.get(mark) is True

    def has_state(self, *sqlstates: str) -> bool:
        """The database gave one of these SQLSTATEs, or class of them."""
        return str(self.meta.get("sqlstate") or "").startswith(sqlstates)

    def says(self, pattern: str) -> bool:
        return re.search(pattern, self.cause, re.IGNORECASE) is not None

    def _count(self, *keys: str) -> int:
        sections = [self.meta, *(self._section(key) for key in ("stats", "recalculation"))]
        return max((count for section in sections for key in keys if isinstance(count := section.get(key), int)), default=0)

    @property
    def _row_errors(self) -> list[Any]:
        stored = self.meta.get("row_errors") or self._section("stats").get("row_errors")
        return stored if isinstance(stored, list) else []

    def _section(self, key: str) -> Mapping[str, Any]:
        return section if isinstance(section := self.meta.get(key), dict) else {}
