"""Columns of a file that are read, and those that only look as if they were."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from operator import itemgetter

from gql_server.carbon.refusals import FileRefused

MISSPELT = 0.8
"""Similarity from which a column is probably a misspelt one."""
PERHAPS = 0.6
"""Similarity from which it may be the one that is missing."""
UNSHARED = 0.55
"""Similarity that the words have in which two names differ when one is a misspelt other."""
NAMED_LENGTH = 60

_JOINTS = re.compile(r"[\s_.-]+")


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Columns that a format knows, with other names of some, and those among them that a file must have.

    `descriptive` are known ones that no value follows from. An `open` format takes what it does not know as it is. Spaces,
    hyphens and underscores between words do not count.
    """

    known: Collection[str]
    required: Sequence[str] = ()
    other_names: Mapping[str, str] = field(default_factory=dict[str, str])
    descriptive: Collection[str] = ()
    open: bool = False

    def of(self, header: Sequence[str], kinds: Sequence["FileKind"] = ()) -> "Header":
        """The header with known columns as the format spells them. Raises FileRefused when one is missing, misspelt, or there
        twice, and for a file that is rather of one of the other `kinds`."""
        names = self._spelled(header)
        meant = [self.other_names.get(name, name) for name in names]
        self._check_twice(header, names, meant)
        self._check_kind(header, kinds)
        unread = () if self.open else self._unread(names)
        self._check_missing(meant, [name for name in names if name] if self.open else unread)
        self._check_misspelt(meant, unread)
        return Header(names, unread, {sent: name for sent, name in zip(header, names, strict=True) if sent != name})

    def count(self, header: Sequence[str]) -> int:
        """Number of columns of a header that the format knows."""
        return len(header) - header.count("") - len(self._unread(self._spelled(header)))

    def _spelled(self, header: Sequence[str]) -> tuple[str, ...]:
        """The header in the format's spelling, but for columns of which there is one that is spelled so already."""
        exact = {self.other_names.get(name, name) for name in header if name in self.known or name in self.other_names}
        spelled = {_letters(name): name for name in (*self.known, *self.other_names)}
        meant = [spelled.get(_letters(name), name) for name in header]
        return tuple(
            name if self.other_names.get(known, known) in exact else known for name, known in zip(header, meant, strict=True)
        )

    def _unread(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if name and name not in self.known and name not in self.other_names)

    def _fit(self, header: Sequence[str]) -> tuple[bool, int]:
        """True when all that is mandatory is there, and the number of columns that would not be read."""
        names = self._spelled(header)
        return {*self.required} <= {self.other_names.get(name, name) for name in names}, len(self._unread(names))

    def _check_kind(self, header: Sequence[str], kinds: Sequence["FileKind"]) -> None:
        """Refuse a file that lacks nothing as another kind, and of which more is read as that one: or all, if this lacks
        something."""
        complete, unread = self._fit(header)
        if complete and self.open:
            return
        others = [(kind.columns._fit(header), kind) for kind in kinds if {*kind.columns.known} != {*self.known}]
        better = [(left, kind) for (whole, left), kind in others if whole and left < max(unread, int(not complete))]
        if better:
            kind = min(better, key=itemgetter(0))[1]
            raise FileRefused(f"this looks like {kind.name}: upload it with {kind.parameters}")

    def _check_twice(self, header: Sequence[str], names: Sequence[str], meant: Sequence[str]) -> None:
        for name in self.known:
            places = [index for index, each in enumerate(meant) if each == name]
            if len(places) > 1:
                first, other = sorted((header[index] for index in places), key=lambda each: (each != name, each))[:2]
                raise FileRefused(f"the columns {_shown(first)} and {_shown(other)} are the same: leave one of them out")

    def _check_missing(self, meant: Collection[str], free: Sequence[str]) -> None:
        if not (missing := [name for name in self.required if name not in meant]):
            return
        alike = [(name, column) for name in missing if (column := _nearest(name, free, _resemblance, PERHAPS))]
        hint = _told_alike(alike)
        raise FileRefused(f"missing {_listed(missing)}{' — ' if hint else ''}{hint}")

    def _check_misspelt(self, meant: Collection[str], unread: Sequence[str]) -> None:
        """Refuse values that would be lost with a column's name, and rows that would land elsewhere."""
        absent = [name for name in self.known if name not in meant and name not in self.descriptive]
        alike = [(name, column) for column in unread if (name := self._meant_by(column, absent))]
        if alike:
            names = _listed(list(dict.fromkeys(name for name, _ in alike)))
            raise FileRefused(f"no {names} — {_told_alike(alike)}: correct the name, or leave it out")

    def _meant_by(self, column: str, absent: Sequence[str]) -> str | None:
        """The absent column that this one is nearly, or whose name alone has the words of this one, or has one fewer."""
        if name := _nearest(column, absent, _likeness, MISSPELT):
            return name
        words = _words(column)
        having = [name for name in self.known if words <= _words(name)] if len(_letters(column)) > len("id") else []
        shorter = [name for name in absent if _joined(name) == _joined(column).rpartition("_")[0]]
        return next((name for name in (*(having if len(having) == 1 else ()), *shorter) if name in absent), None)


@dataclass(frozen=True, slots=True)
class FileKind:
    """Name of a kind of file, the parameters of its upload in words, and its columns."""

    name: str
    parameters: str
    columns: FileColumns


@dataclass(frozen=True, slots=True)
class Header:
    """Columns of a file as its format spells them, those that nothing is read from, and by the names that the file has for
    them, those that it spells otherwise."""

    names: tuple[str, ...]
    unread: tuple[str, ...] = ()
    respelled: Mapping[str, str] = field(default_factory=dict[str, str])


def _told_alike(alike: Sequence[tuple[str, str]]) -> str:
    return " and ".join(f"“{_shown(column)}” of the file looks like {name}" for name, column in alike)


def _listed(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _nearest(name: str, others: Sequence[str], likeness: Callable[[str, str], float], least: float) -> str | None:
    close = [(alike, other) for other in others if (alike := likeness(_joined(name), _joined(other))) >= least]
    return max(close, key=itemgetter(0))[1] if close else None


def _similarity(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _likeness(one: str, other: str) -> float:
    """Similarity, unless the words that are not in both have little of it: purchase_date is not purchase_category."""
    shared = _words(one) & _words(other)
    rests = ["_".join(word for word in name.split("_") if word not in shared) for name in (one, other)]
    return _similarity(one, other) if not all(rests) or _similarity(*rests) >= UNSHARED else 0


def _resemblance(one: str, other: str) -> float:
    """Similarity, or enough of it when all words of one are in the other."""
    words, others = _words(one), _words(other)
    return max(_similarity(one, other), PERHAPS if words <= others or others <= words else 0)


def _joined(name: str) -> str:
    return _JOINTS.sub("_", name.strip())


def _words(name: str) -> set[str]:
    return set(_joined(name).split("_"))


def _letters(name: str) -> str:
    return _JOINTS.sub("", name.strip())


def _shown(column: str) -> str:
    return column if len(column) <= NAMED_LENGTH else f"{column[: NAMED_LENGTH - 1]}…"
