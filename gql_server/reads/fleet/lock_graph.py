"""The map of locks: which are held, by whom, and who waits for them, out of single observations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gql_server.carbon.catalog import MODULES
from gql_server.ledger.locks import MODULE_OF_YEAR, REPORTS_OF_YEAR, UNITS, Lock

CATEGORIES = {
    MODULE_OF_YEAR: "Data of a module in a year",
    REPORTS_OF_YEAR: "Totals of a year",
    UNITS: "Units and people",
}
OTHER = "Other work"


@dataclass(frozen=True, slots=True)
class LockObservation:
    """One observation of a lock: a job holds it, a job waits for it, or a transaction has taken it. A job that the viewer may
    not see is None. `seconds` is the time since that job was claimed first, or that transaction began."""

    key: str
    holder_id: int | None = None
    waiter_id: int | None = None
    is_taken: bool = False
    seconds: float | None = None


@dataclass(slots=True)
class HeldLock:
    """A lock and the jobs around it that the viewer may see."""

    key: str
    provider: str
    holder_id: int | None = None
    waiter_ids: list[int] = field(default_factory=list[int])
    claimed_seconds: float | None = None
    taken_seconds: float | None = None

    @property
    def lock(self) -> Lock | None:
        try:
            return Lock.parse(self.key)
        except ValueError:
            return None

    @property
    def category(self) -> str:
        """Sort of work that excludes each other here, in words."""
        return CATEGORIES.get(self.lock.category, OTHER) if self.lock else OTHER

    @property
    def scope(self) -> str:
        """Data that it covers, in words; the key itself for locks that are not ours."""
        if self.lock is None or self.category == OTHER:
            return self.key
        covered = self.lock.covered
        module = MODULES.get(covered.module_type_id or 0)
        return " ".join([*([module.key] if module else []), *([str(covered.year)] if covered.year else [])]) or "everything"

    @property
    def is_own(self) -> bool:
        """It covers data of the provider alone, or a visible job holds it: then it may be told since when it is held."""
        covers = self.lock is not None and self.category != OTHER and self.lock.covered.provider == self.provider
        return covers or self.holder_id is not None

    @property
    def held_for_seconds(self) -> float | None:
        """Age of the transaction that has taken it, in seconds, which a later attempt of the same job begins anew."""
        if not self.is_own:
            return None
        return self.claimed_seconds if self.taken_seconds is None else self.taken_seconds

    def see(self, sighting: LockObservation) -> None:
        """Take in one observation."""
        if sighting.waiter_id is not None:
            self.waiter_ids.append(sighting.waiter_id)
        elif sighting.is_taken:
            self.taken_seconds = sighting.seconds
        elif sighting.holder_id is not None:
            self.holder_id, self.claimed_seconds = sighting.holder_id, sighting.seconds


def lock_graph(sightings: Iterable[LockObservation], provider: str) -> Sequence[HeldLock]:
    """The locks that concern the provider: its own, and those that a job waits for which the viewer may see."""
    locks: dict[str, HeldLock] = {}
    for sighting in sightings:
        locks.setdefault(sighting.key, HeldLock(sighting.key, provider)).see(sighting)
    return [lock for _, lock in sorted(locks.items()) if lock.is_own or lock.waiter_ids]
