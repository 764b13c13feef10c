"""Filter and orders of lists of failure groups."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gql_server.ledger.failures.rules import FailureClass


class FailureOrder(StrEnum):
    """Sort keys of failure groups."""

    LAST_SEEN = "LAST_SEEN"
    FIRST_SEEN = "FIRST_SEEN"
    PIPELINE_COUNT = "PIPELINE_COUNT"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCriteria:
    """All clauses are ANDed; None means no such clause. Time (half-open), years and modules must hold for one same job."""

    classes: tuple[FailureClass, ...] | None = None
    seen_from: datetime | None = None
    seen_to: datetime | None = None
    years: tuple[int, ...] | None = None
    module_type_ids: tuple[int, ...] | None = None
    acknowledged: bool | None = None
    is_new: bool | None = None
