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
NAMED_LENGTH = 60

_JOINTS = re.compile(r"[\s_.-]+")


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Columns that a format knows, with other names of some, and those among them that a file must have.

    An `open` format takes what it does not know as it is. Spaces, hyphens and underscores between words are the same.
    """

    known: Collection[str]
    required: Sequence[str] = ()
    other_names: Mapping[str, str] = field(default_factory=dict[str, str])
    open: bool = False

    def of(self, header: Sequence[str]) -> "Header":
        """The header with known columns as the format spells them. Raises FileRefused when one is missing, or there twice."""
        spelled = {_joined(name): name for name in (*self.known, *self.other_names)}
        names = tuple(spelled.get(_joined(name), name) for name in header)
        meant = [self.other_names.get(name, name) for name in names]
        self._check_twice(header, names, meant)
        read = {*self.known, *self.other_names}
        unread = () if self.open else tuple(name for name in names if name and name not in read)
        self._check_missing(meant, [name for name in names if name] if self.open else unread)
        return Header(names, unread, _misspelt(unread, [name for name in self.known if name not in meant]))

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
        hint = " and ".join(f"“{_shown(column)}” of the file looks like {name}" for name, column in alike)
        plural = "s" if len(missing) > 1 else ""
        raise FileRefused(f"missing column{plural} {', '.join(missing)}{' — ' if hint else ''}{hint}")


@dataclass(frozen=True, slots=True)
class Header:
    """Columns of a file as its format spells them; those that nothing is read from; and what the `misspelt` among them
    probably mean."""

    names: tuple[str, ...]
    unread: tuple[str, ...] = ()
    misspelt: Mapping[str, str] = field(default_factory=dict[str, str])


def _misspelt(unread: Sequence[str], absent: Sequence[str]) -> dict[str, str]:
    alike = ((column, _nearest(column, absent, _similarity, MISSPELT)) for column in unread)
    return {column: name for column, name in alike if name}


def _nearest(name: str, others: Sequence[str], likeness: Callable[[str, str], float], least: float) -> str | None:
    close = [(alike, other) for other in others if (alike := likeness(_joined(name), _joined(other))) >= least]
    return max(close, key=itemgetter(0))[1] if close else None


def _similarity(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _resemblance(one: str, other: str) -> float:
    """Similarity, or enough of it when all words of one are in the other."""
    words, others = set(one.split("_")), set(other.split("_"))
    return max(_similarity(one, other), PERHAPS if words <= others or others <= words else 0)


def _joined(name: str) -> str:
    return _JOINTS.sub("_", name.strip())


def _shown(column: str) -> str:
    return column if len(column) <= NAMED_LENGTH else f"{column[: NAMED_LENGTH - 1]}…"
