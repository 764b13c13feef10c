"""Reasons for which a data entry has no emission, and so is in no total."""

from enum import StrEnum


class Lack(StrEnum):
    """Lack of a data entry. The first three are told by its recalculation; without one of them it was not computed yet."""

    MISSING_FACTOR = "MISSING_FACTOR"
    MISSING_EXCHANGE_RATE = "MISSING_EXCHANGE_RATE"
    INVALID_VALUE = "INVALID_VALUE"
    NOT_COMPUTED = "NOT_COMPUTED"
