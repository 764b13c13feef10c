"""Numbers as spreadsheets write them, read only where there is a single reading.

A cell like 100,5 or 1'000.5 has one. One like 1,234 has two: the other numbers of the file tell which is meant, or its sender.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gql_server.carbon.refusals import FileRefused

POINT, COMMA = ".", ","
DECIMALS: Mapping[str, str] = {"point": POINT, "comma": COMMA}
"""Decimal marks by the names that an upload gives them."""
_NAMES = {mark: name for name, mark in DECIMALS.items()}

PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
"""A number as computers write it."""


def _pattern(mark: str, other: str) -> re.Pattern[str]:
    groups = rf"[1-9]\d{{0,2}}(?P<group>['’ʼ \u00a0\u2009\u202f{other}])\d{{3}}(?:(?P=group)\d{{3}})*"
    return re.compile(
        rf"(?P<sign>[+-]?)(?:(?P<grouped>{groups})|(?P<whole>\d*))(?:{re.escape(mark)}(?P<part>\d*))?(?P<power>[eE][+-]?\d+)?",
        re.ASCII,
    )


_PATTERNS = {POINT: _pattern(POINT, COMMA), COMMA: _pattern(COMMA, POINT)}


def plain(text: str, mark: str) -> str | None:
    """The number with a decimal point and without grouped thousands, if it is one with this decimal mark."""
    found = _PATTERNS[mark].fullmatch(text)
    if found is None or not (found["grouped"] or found["whole"] or found["part"]):
        return None
    whole = "".join(filter(str.isdigit, found["grouped"] or found["whole"] or ""))
    part = f".{found['part']}" if found["part"] else ""
    return f"{found['sign']}{whole}{part}{found['power'] or ''}"


@dataclass(frozen=True, slots=True)
class NumberCell:
    """A cell, and where it is."""

    row: int
    column: str
    text: str


@dataclass(slots=True)
class Evidence:
    """Decimal marks that the numbers of a file prove, and the first cells that could be two numbers, by the mark in them."""

    proofs: dict[str, NumberCell] = field(default_factory=dict[str, NumberCell])
    doubts: dict[str, NumberCell] = field(default_factory=dict[str, NumberCell])

    def look(self, row: int, column: str, text: str) -> None:
        """Take one more cell into account."""
        readings = {mark: number for mark in _PATTERNS if (number := plain(text, mark)) is not None}
        if len(readings) == 1:
            self.proofs.setdefault(next(iter(readings)), NumberCell(row, column, text))
        elif len(set(readings.values())) > 1:
            self.doubts.setdefault(COMMA if COMMA in text else POINT, NumberCell(row, column, text))

    def refuse(self, doubt: NumberCell) -> FileRefused:
        point, comma = plain(doubt.text, POINT), plain(doubt.text, COMMA)
        mixed = ", and its other numbers have both marks" if len(self.proofs) == len(_PATTERNS) else ""
        return FileRefused(
            f"“{doubt.text}” in row {doubt.row}, column {doubt.column}, is {point} with a decimal point "
            f"or {comma} with a decimal comma{mixed}: say which with decimalMark, POINT or COMMA"
        )


@dataclass(frozen=True, slots=True)
class Numbers:
    """Reader of a file's numbers: with the first of the `marks` that fits; `because` says why."""

    marks: tuple[str, ...]
    because: str | None

    def plain(self, text: str) -> str | None:
        """The number as computers write it; None when it is none."""
        return next((number for mark in self.marks if (number := plain(text, mark)) is not None), None)

    @property
    def decimal(self) -> str | None:
        """The name of the decimal mark; None when the file needs none, or each number tells its own."""
        return _NAMES[self.marks[0]] if len(self.marks) == 1 else None


def numbers_of(cells: Iterable[tuple[int, str, str]], *, decimal: str | None, comma_separated: bool) -> Numbers:
    """Reader of numbers like these, given as row, column and text. Raises FileRefused with the two readings.

    `decimal` is the mark that the sender named. Where commas separate cells, they are not decimal marks.
    """
    if decimal is not None:
        return Numbers((decimal,), "parameter")
    evidence = Evidence()
    for row, column, text in cells:
        evidence.look(row, column, text)
    return _separated_by_commas(evidence) if comma_separated else _proven(evidence)


def _separated_by_commas(evidence: Evidence) -> Numbers:
    doubtful = {POINT: POINT not in evidence.proofs and COMMA in evidence.proofs, COMMA: [*evidence.proofs] != [POINT]}
    for mark, doubt in evidence.doubts.items():
        if doubtful[mark]:
            raise evidence.refuse(doubt)
    return Numbers((POINT,), "separator")


def _proven(evidence: Evidence) -> Numbers:
    if len(evidence.proofs) == 1:
        ((mark, proof),) = evidence.proofs.items()
        return Numbers((mark,), f"row {proof.row}, column {proof.column}")
    if evidence.doubts:
        raise evidence.refuse(min(evidence.doubts.values(), key=lambda doubt: doubt.row))
    return Numbers((POINT, COMMA), None)
