"""Inputs that several lists share: ranges, and the direction of an order."""

from datetime import datetime
from enum import Enum

import strawberry
from strawberry import UNSET


@strawberry.enum(description="Sort direction; nulls always come last.")
class Direction(Enum):
    ASC = strawberry.enum_value("ASC", description="Smallest, or earliest, first.")
    DESC = strawberry.enum_value("DESC", description="Largest, or latest, first.")


@strawberry.input(description="Half-open: from ≤ t < to.")
class TimeRange:
    from_: datetime | None = strawberry.field(name="from", default=UNSET, description="Not before this.")
    to: datetime | None = strawberry.field(default=UNSET, description="Before this.")

    @property
    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """Both ends; None for one that is open."""
        return self.from_ or None, self.to or None
