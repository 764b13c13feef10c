"""emission_recalc: the emissions of one entry type in one year, computed anew from its entries and today's factors."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, entry_types_of
from gql_server.carbon.emissions import Emission, compute
from gql_server.carbon.factors import FactorIndex, no_factor_yet
from gql_server.carbon.lacks import Lack
from gql_server.carbon.rates import ExchangeRates, RateMissing
from gql_server.carbon.readers import ONE_OF_OTHERS, either
from gql_server.db import driver_connection, dumps
from gql_server.db.models import JobResult, JobType
from gql_server.handlers.factors import factor_index
from gql_server.handlers.rates import exchange_rates
from gql_server.handlers.waiting import BATCH_ENTRIES, SLICE, settle
from gql_server.ledger.locks import module_of_year
from gql_server.worker import ClaimedJob, JobError, Outcome, Run, job_type

ERROR_DETAILS_KEPT = 100
EMISSION_COLUMNS = (
    "data_entry_id",
    "emission_type_id",
    "primary_factor_id",
    "kg_co2eq",
    "additional_value",
    "scope",
    "meta",
)

_COUNT = text(f"SELECT count(*) FROM data_entries WHERE {SLICE}")
_DELETE = text(f"DELETE FROM data_entry_emissions WHERE data_entry_id IN (SELECT id FROM data_entries WHERE {SLICE})")
_ENTRIES = text(
    f"SELECT id, carbon_report_module_id, data, lack FROM data_entries WHERE {SLICE} AND id > :after ORDER BY id LIMIT :most"
)
_SET_LACKS = text("""
UPDATE data_entries SET lack = s.lack
FROM unnest(CAST(:ids AS bigint[]), CAST(:lacks AS text[])) AS s(id, lack) WHERE data_entries.id = s.id
""")


@dataclass(slots=True)
class Recalculation:
    """Outcome of one entry type's recalculation. `without_factor` and `without_rate` count entries that have no emission for
    want of a factor, and of an exchange rate; `waiting` is the first without a factor; `rates` are the sources of
    the rates that were used."""

    recalculated: int = 0
    without_factor: int = 0
    without_rate: int = 0
    waiting: dict[str, Any] | None = None
    first_without_factor: str | None = None
    first_without_rate: str | None = None
    errors: int = 0
    error_details: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    modules: set[int] = field(default_factory=set[int])
    rates: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        return self.recalculated + self.without_factor + self.without_rate + self.errors

    @property
    def meta(self) -> dict[str, Any]:
        return {
            "recalculated": self.recalculated,
            "modules_affected": len(self.modules),
            "without_factor": self.without_factor,
            "without_rate": self.without_rate,
            "errors": self.errors,
            "error_details": self.error_details,
            **({"exchange_rates": sorted(self.rates)} if self.rates else {}),
        }


@job_type(JobType.EMISSION_RECALC, locks=module_of_year)
async def emission_recalc(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Replace the emissions of the job's entry type; the pipeline's last recalculation is followed by its aggregation."""
    if job.data_entry_type_id is None or job.year is None:
        raise JobError("a recalculation needs a data entry type and a year")
    await run.progress("Recalculating emissions...")
    done = await recalculate(connection, run, job, job.data_entry_type_id, job.scope_module_ids)
    return Outcome(
        result=_result(done),
        message=_complaint(done) or "Emission recalculation completed",
        meta={"recalculation": done.meta},
        affected_module_ids=sorted(done.modules | set(job.affected_module_ids or ())),
    )


@job_type(JobType.MODULE_EMISSION_RECALC, locks=module_of_year)
async def module_emission_recalc(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Replace the emissions of several entry types of a module, all or none; one aggregation of the whole slice follows."""
    entry_types: Sequence[int] = job.config.get("data_entry_type_ids") or ()
    if not entry_types or job.year is None:
        raise JobError("a module's recalculation needs data entry types and a year")
    parts: dict[int, Recalculation] = {}
    for position, entry_type in enumerate(entry_types, start=1):
        await run.progress(f"Recalculating {entry_type} ({position}/{len(entry_types)})…")
        parts[entry_type] = await recalculate(connection, run, job, entry_type, None)
    total = _total(parts.values())
    return Outcome(
        result=_result(total),
        message=_complaint(total) or "Module emission recalculation completed",
        meta={
            "recalculation": {str(entry_type): part.meta for entry_type, part in parts.items()},
            "total_recalculated": total.recalculated,
            "without_factor": total.without_factor,
            "without_rate": total.without_rate,
            "total_errors": total.errors,
        },
    )


async def recalculate(
    connection: AsyncConnection, run: Run, job: ClaimedJob, data_entry_type_id: int, modules: Sequence[int] | None
) -> Recalculation:
    """Replace the emissions of one entry type, in these report modules or everywhere."""
    assert job.year is not None
    factors = await factor_index(connection, job.provider, job.year, [data_entry_type_id])
    rates = await exchange_rates(connection, job.provider, job.year)
    place = {
        "provider": job.provider,
        "year": job.year,
        "data_entry_type_id": data_entry_type_id,
        "modules": None if modules is None else list(modules),
    }
    total = await connection.scalar(_COUNT, place)
    await settle(connection, place)
    await connection.execute(_DELETE, place)
    done, after = Recalculation(), 0
    while entries := (await connection.execute(_ENTRIES, {**place, "after": after, "most": BATCH_ENTRIES})).all():
        after = entries[-1].id
        emissions, lacks = await asyncio.to_thread(_compute, entries, data_entry_type_id, factors, rates, done)
        async with driver_connection(connection) as driver:
            await driver.copy_records_to_table("data_entry_emissions", records=emissions, columns=EMISSION_COLUMNS)
        if lacks:
            await connection.execute(_SET_LACKS, {"ids": list(lacks), "lacks": list(lacks.values())})
        await run.count("recalculating", done.count, total)
    if done.waiting:
        done.first_without_factor = await _why(connection, job, job.year, data_entry_type_id, done.waiting)
    return done


async def _why(connection: AsyncConnection, job: ClaimedJob, year: int, data_entry_type_id: int, data: dict[str, Any]) -> str:
    """Reason for which an entry has no factor, with the entry types that have one: it may have been uploaded with the wrong."""
    others = [other for other in entry_types_of(DATA_ENTRY_TYPES[data_entry_type_id].module_id) if other != data_entry_type_id]
    factors = await factor_index(connection, job.provider, year, others, ignore_case=True)
    names = [DATA_ENTRY_TYPES[other].key for other in factors.having(others, data)]
    return no_factor_yet(data_entry_type_id, data) + (f"{ONE_OF_OTHERS}{either(names)}" if names else "")


def _compute(
    entries: Sequence[Row[Any]], data_entry_type_id: int, factors: FactorIndex, rates: ExchangeRates, done: Recalculation
) -> tuple[list[tuple[object, ...]], dict[int, Lack | None]]:
    """Emissions of the entries, and by id what they lack now, where that is something else than before."""
    records: list[tuple[object, ...]] = []
    lacks: dict[int, Lack | None] = {}
    for entry in entries:
        done.modules.add(entry.carbon_report_module_id)
        computed, lack = _computed(entry, data_entry_type_id, factors, rates, done)
        if lack != entry.lack:
            lacks[entry.id] = lack
        if any("exchange_rate" in emission.meta for emission in computed):
            done.rates = rates.sources
        records += [
            (entry.id, e.emission_type_id, e.factor_id, e.kg_co2eq, e.additional_value, e.scope, dumps(e.meta))
            for e in computed
        ]
    return records, lacks


def _computed(
    entry: Row[Any], data_entry_type_id: int, factors: FactorIndex, rates: ExchangeRates, done: Recalculation
) -> tuple[Sequence[Emission], Lack | None]:
    """Emissions of one entry, else what it lacks; counted."""
    try:
        computed = compute(data_entry_type_id, entry.data, factors, rates)
    except RateMissing as error:
        done.without_rate += 1
        done.first_without_rate = done.first_without_rate or str(error)
        return (), Lack.MISSING_EXCHANGE_RATE
    except ValueError as error:
        done.errors += 1
        if len(done.error_details) < ERROR_DETAILS_KEPT:
            done.error_details.append({"data_entry_id": entry.id, "error": str(error)})
        return (), Lack.INVALID_VALUE
    if not computed:
        done.without_factor += 1
        done.waiting = done.waiting or entry.data
        return (), Lack.MISSING_FACTOR
    done.recalculated += 1
    return computed, None


def _result(done: Recalculation) -> JobResult:
    """Result of a recalculation: what lacks a factor or a rate waits for that; of what cannot be computed at all, something
    must remain."""
    if done.errors and not done.recalculated:
        return JobResult.ERROR
    return JobResult.SUCCESS if done.recalculated == done.count else JobResult.WARNING


def _complaint(done: Recalculation) -> str | None:
    """The counts and the first reason, unless all went well."""
    if done.recalculated == done.count:
        return None
    failed = f", {done.errors} failed" if done.errors else ""
    converting = f", {done.without_rate} without an exchange rate" if done.without_rate else ""
    waiting = f", {done.without_factor} without a factor yet" if done.without_factor else ""
    told = done.error_details[0]["error"] if done.error_details else done.first_without_rate or done.first_without_factor
    return f"{done.recalculated} recalculated{failed}{converting}{waiting}" + (f" — first error: {told}" if told else "")


def _total(parts: Collection[Recalculation]) -> Recalculation:
    return Recalculation(
        recalculated=sum(part.recalculated for part in parts),
        without_factor=sum(part.without_factor for part in parts),
        without_rate=sum(part.without_rate for part in parts),
        first_without_factor=next((part.first_without_factor for part in parts if part.first_without_factor), None),
        first_without_rate=next((part.first_without_rate for part in parts if part.first_without_rate), None),
        errors=sum(part.errors for part in parts),
        error_details=[detail for part in parts for detail in part.error_details[:1]],
    )
