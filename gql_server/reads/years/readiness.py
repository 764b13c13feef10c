"""Uploads that a year still needs, from its settings and its current jobs (domain §9.4)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import itemgetter
from typing import Any, Protocol, cast

from gql_server.carbon.catalog import MODULES, PURCHASE, needs_factor, needs_reference
from gql_server.db.models import EntityType, IngestionMethod, TargetType


class IncompleteReason(StrEnum):
    """Reasons for which a submodule is incomplete."""

    MISSING_FACTOR = "MISSING_FACTOR"
    MISSING_REFERENCE = "MISSING_REFERENCE"


class CurrentJob(Protocol):
    """A current job of a year; a ledger row has it."""

    @property
    def job_id(self) -> int: ...
    @property
    def entity_type(self) -> str: ...
    @property
    def module_type_id(self) -> int | None: ...
    @property
    def data_entry_type_id(self) -> int | None: ...
    @property
    def target_type(self) -> str | None: ...
    @property
    def ingestion_method(self) -> str: ...


@dataclass(frozen=True, slots=True)
class SubmoduleReadiness:
    """An entry type: what was last uploaded for it, and what is missing: nothing when it or its module is disabled."""

    data_entry_type_id: int
    enabled: bool
    latest_data_job: CurrentJob | None
    latest_api_data_job: CurrentJob | None
    latest_factor_job: CurrentJob | None
    latest_reference_job: CurrentJob | None
    incomplete_reasons: tuple[IncompleteReason, ...]

    @property
    def incomplete(self) -> bool:
        return bool(self.incomplete_reasons)


@dataclass(frozen=True, slots=True)
class ModuleReadiness:
    """A module: what was last uploaded for all of its entry types together, and how these are. Disabled, it lacks nothing."""

    module_type_id: int
    enabled: bool
    latest_common_data_job: CurrentJob | None
    latest_common_factor_job: CurrentJob | None
    submodules: tuple[SubmoduleReadiness, ...]
    lacks_exchange_rates: bool = False

    @property
    def lacks_common_factor(self) -> bool:
        """True if it is enabled, and its entry types share factors that were never uploaded."""
        module = MODULES.get(self.module_type_id)
        return self.enabled and module is not None and module.needs_common_factor and self.latest_common_factor_job is None

    @property
    def incomplete(self) -> bool:
        """True if a submodule is incomplete, or the module lacks its common factors or the rates of its year."""
        lacks = self.lacks_common_factor or self.lacks_exchange_rates
        return lacks or any(part.incomplete for part in self.submodules)


class _Upload(StrEnum):
    DATA = "DATA"
    API_DATA = "API_DATA"
    FACTOR = "FACTOR"
    REFERENCE = "REFERENCE"


_Latest = Mapping[tuple[int | None, int | None, _Upload], CurrentJob]


def readiness(
    config: Mapping[str, Any], jobs: Iterable[CurrentJob], *, has_exchange_rates: bool = True
) -> tuple[ModuleReadiness, ...]:
    """The modules of the settings, in order. A failed upload counts as uploaded: that it failed is shown elsewhere. Exchange
    rates are there or not, whoever brought them."""
    latest = _latest(jobs)
    modules = (_module(module_id, settings, latest) for module_id, settings in _numbered(config.get("modules")))
    return tuple(
        replace(module, lacks_exchange_rates=module.enabled and module.module_type_id == PURCHASE and not has_exchange_rates)
        for module in modules
    )


def _latest(jobs: Iterable[CurrentJob]) -> _Latest:
    ordered = sorted(jobs, key=lambda job: job.job_id)
    return {
        (job.module_type_id, job.data_entry_type_id, upload): job for job in ordered if (upload := _upload(job)) is not None
    }


def _upload(job: CurrentJob) -> _Upload | None:
    if job.entity_type == EntityType.MODULE_UNIT_SPECIFIC:
        return None
    match job.target_type, job.ingestion_method:
        case TargetType.DATA_ENTRIES, IngestionMethod.CSV:
            return _Upload.DATA
        case TargetType.DATA_ENTRIES, IngestionMethod.API:
            return _Upload.API_DATA
        case TargetType.FACTORS, _:
            return _Upload.FACTOR
        case TargetType.REFERENCE_DATA, _:
            return _Upload.REFERENCE
        case _:
            return None


def _module(module_id: int, settings: Mapping[str, Any], latest: _Latest) -> ModuleReadiness:
    enabled = is_enabled(settings)
    return ModuleReadiness(
        module_type_id=module_id,
        enabled=enabled,
        latest_common_data_job=latest.get((module_id, None, _Upload.DATA)),
        latest_common_factor_job=latest.get((module_id, None, _Upload.FACTOR)),
        submodules=tuple(
            _submodule(module_id, entry_type, part, latest, counts=enabled and is_enabled(part))
            for entry_type, part in _numbered(settings.get("submodules"))
        ),
    )


def is_enabled(settings: Mapping[str, Any]) -> bool:
    """True if a module or an entry type of these settings is used: unless they say no."""
    return settings.get("enabled") is not False


def _submodule(
    module_id: int, entry_type: int, settings: Mapping[str, Any], latest: _Latest, *, counts: bool
) -> SubmoduleReadiness:
    uploaded = {upload: latest.get((module_id, entry_type, upload)) for upload in _Upload}
    factor = uploaded[_Upload.FACTOR] or latest.get((module_id, None, _Upload.FACTOR))
    reasons = {
        IncompleteReason.MISSING_FACTOR: factor is None and needs_factor(module_id, entry_type),
        IncompleteReason.MISSING_REFERENCE: uploaded[_Upload.REFERENCE] is None and needs_reference(module_id, entry_type),
    }
    return SubmoduleReadiness(
        data_entry_type_id=entry_type,
        enabled=is_enabled(settings),
        latest_data_job=uploaded[_Upload.DATA],
        latest_api_data_job=uploaded[_Upload.API_DATA],
        latest_factor_job=uploaded[_Upload.FACTOR],
        latest_reference_job=uploaded[_Upload.REFERENCE],
        incomplete_reasons=tuple(reason for reason, missing in reasons.items() if missing and counts),
    )


def _numbered(settings: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Members that are objects under a number, by number; others are not ours."""
    members = cast(Mapping[str, object], settings) if isinstance(settings, Mapping) else dict[str, object]()
    numbered = [(int(key), member) for key, member in members.items() if key.isascii() and key.isdigit()]
    for number, member in sorted(numbered, key=itemgetter(0)):
        if isinstance(member, Mapping):
            yield number, cast(Mapping[str, Any], member)
