"""A model of an operating day, kept by hand: what was uploaded, what became of it, and what each unit emits in the end.

It knows the rules of the day in a person's words: no job, no status and no total is read from the product.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

CO2 = 1.5
LAPTOP = 27.456


@dataclass
class Entry:
    """A row that landed. Its emission is there once a recalculation has seen it."""

    unit: str
    kg: float
    has_emission: bool = False


@dataclass
class Upload:
    """A run of the day: `scope` is equal for what a later success resolves; `failure` is the class of what failed in it."""

    name: str
    scope: tuple[str, ...]
    status: str
    failure: str | None = None


@dataclass
class Model:
    """Everything that a person has to know of the day. Entries of a unit are added; a year's replace those of the year."""

    uploads: list[Upload] = field(default_factory=list[Upload])
    of_year: dict[str, list[Entry]] = field(default_factory=dict[str, list[Entry]])
    of_units: dict[str, list[Entry]] = field(default_factory=dict[str, list[Entry]])

    def ended(self, name: str, status: str, *scope: str, failure: str | None = None) -> None:
        """A run ended so."""
        self.uploads.append(Upload(name, scope, status, failure))

    def year_landed(self, module: str, entries: Collection[Entry]) -> None:
        self.of_year[module] = [*entries]

    def unit_landed(self, module: str, *entries: Entry) -> None:
        self.of_units.setdefault(module, []).extend(entries)

    def recalculated(self, module: str, *units: str) -> None:
        """Emissions of these units, or of all, were computed."""
        for entry in self.entries(module):
            entry.has_emission |= not units or entry.unit in units

    def entries(self, module: str) -> list[Entry]:
        return [*self.of_year.get(module, []), *self.of_units.get(module, [])]

    @property
    def modules(self) -> set[str]:
        """Modules with rows."""
        return {*self.of_year, *self.of_units}

    @property
    def lacking(self) -> set[str]:
        """Modules with a row whose emission nobody has computed."""
        return {module for module in self.modules if not all(e.has_emission for e in self.entries(module))}

    @property
    def statuses(self) -> dict[str, str]:
        return {upload.name: upload.status for upload in self.uploads}

    @property
    def counters(self) -> dict[str, int]:
        return dict(Counter(upload.status for upload in self.uploads))

    @property
    def failures(self) -> dict[str, int]:
        return dict(Counter(upload.failure for upload in self.uploads if upload.failure))

    @property
    def unresolved(self) -> list[str]:
        """Runs that failed and did not succeed later, newest first."""
        return [
            upload.name
            for place, upload in reversed([*enumerate(self.uploads)])
            if upload.status in ("PARTIAL", "FAILED")
            and not any(later.scope == upload.scope and later.status == "SUCCESS" for later in self.uploads[place + 1 :])
        ]

    def totals(self, module: str) -> dict[str, float]:
        """Kilograms of each unit, of what has its emission."""
        units = sorted({entry.unit for entry in self.entries(module)})
        emitted = [entry for entry in self.entries(module) if entry.has_emission]
        return {unit: round(sum(entry.kg for entry in emitted if entry.unit == unit), 6) for unit in units}
