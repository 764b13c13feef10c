"""Blockers of a year: its unit sync, without which it does not open, and what its enabled modules lack."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from uuid import UUID

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, MODULES
from gql_server.reads.years.readiness import IncompleteReason, ModuleReadiness


class BlockerCode(StrEnum):
    """Reasons for which a year is not ready."""

    NOT_PROVISIONED = "NOT_PROVISIONED"
    SYNC_IN_FLIGHT = "SYNC_IN_FLIGHT"
    MISSING_COMMON_FACTOR = "MISSING_COMMON_FACTOR"
    MISSING_FACTOR = "MISSING_FACTOR"
    MISSING_REFERENCE = "MISSING_REFERENCE"
    MISSING_EXCHANGE_RATE = "MISSING_EXCHANGE_RATE"


LACKS = {IncompleteReason.MISSING_FACTOR: "factors", IncompleteReason.MISSING_REFERENCE: "reference data"}


@dataclass(frozen=True, slots=True)
class Blocker:
    """One missing thing, of a module, of an entry type in it, or of the unit sync that `pipeline_key` names.

    Without what `is_required` the year does not open; the rest may follow.
    """

    code: BlockerCode
    message: str
    module_type_id: int | None = None
    data_entry_type_id: int | None = None
    pipeline_key: UUID | None = None
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class UnitSync:
    """The newest unit sync of a year."""

    pipeline_key: UUID
    is_live: bool


@dataclass(frozen=True, slots=True)
class YearReadiness:
    """Blockers of a year."""

    blockers: tuple[Blocker, ...]

    @property
    def ready(self) -> bool:
        return not self.blockers


def year_readiness(modules: Iterable[ModuleReadiness], sync: UnitSync | None, *, is_provisioned: bool) -> YearReadiness:
    """The unit sync first, then the modules in order."""
    return YearReadiness((*_of_sync(sync, is_provisioned), *(blocker for module in modules for blocker in _of_module(module))))


def _of_sync(sync: UnitSync | None, is_provisioned: bool) -> Iterator[Blocker]:
    blocker = partial(Blocker, pipeline_key=sync.pipeline_key if sync else None, is_required=not is_provisioned)
    if sync and sync.is_live:
        yield blocker(BlockerCode.SYNC_IN_FLIGHT, "The unit sync is under way.")
    elif not is_provisioned:
        yield blocker(BlockerCode.NOT_PROVISIONED, "The unit sync has not succeeded yet.")


def _of_module(module: ModuleReadiness) -> Iterator[Blocker]:
    name = MODULES[module.module_type_id].key if module.module_type_id in MODULES else str(module.module_type_id)
    if module.lacks_common_factor:
        message = f"{name} lacks the factors common to its entry types."
        yield Blocker(BlockerCode.MISSING_COMMON_FACTOR, message, module.module_type_id)
    if module.lacks_exchange_rates:
        message = f"{name} lacks the exchange rates of the year."
        yield Blocker(BlockerCode.MISSING_EXCHANGE_RATE, message, module.module_type_id)
    for part in module.submodules:
        for reason in part.incomplete_reasons:
            message = f"{DATA_ENTRY_TYPES[part.data_entry_type_id].key} in {name} lacks {LACKS[reason]}."
            yield Blocker(BlockerCode[reason], message, module.module_type_id, part.data_entry_type_id)
