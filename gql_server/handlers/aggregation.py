"""aggregation: module totals from emissions, and report totals from modules."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.lacks import Lack
from gql_server.carbon.statistics import IN_PROGRESS, ModuleState, module_stats, report_summary
from gql_server.db import dumps
from gql_server.db.models import JobType
from gql_server.ledger.locks import reports_of_year
from gql_server.worker import ClaimedJob, JobError, Outcome, Run, job_type

_ALL_MODULES = text("""
SELECT m.id FROM carbon_report_modules m
JOIN carbon_reports r ON r.id = m.carbon_report_id JOIN units u ON u.id = r.unit_id
WHERE m.module_type_id = :module_type_id AND r.year = :year AND u.provider = :provider
""")

# Summed as numeric: the total must not depend on the order of the rows, as a sum of floats does.
_EMISSIONS = text("""
SELECT e.carbon_report_module_id AS module_id, x.emission_type_id, x.scope,
  sum(x.kg_co2eq::numeric)::float8 AS kg_co2eq, sum(x.additional_value::numeric)::float8 AS additional_value
FROM data_entries e JOIN data_entry_emissions x ON x.data_entry_id = e.id
WHERE e.carbon_report_module_id = ANY(:modules)
GROUP BY 1, 2, 3
""")

_ENTRY_COUNTS = text("""
SELECT carbon_report_module_id AS module_id, lack, count(*) AS entries
FROM data_entries WHERE carbon_report_module_id = ANY(:modules) GROUP BY 1, 2
""")

_COMPUTED_COUNTS = text("""
SELECT e.carbon_report_module_id AS module_id, count(*) AS entries FROM data_entries e
WHERE e.carbon_report_module_id = ANY(:modules) AND e.lack IS NULL
  AND EXISTS (SELECT FROM data_entry_emissions x WHERE x.data_entry_id = e.id)
GROUP BY 1
""")

_STORE_MODULES = text(f"""
UPDATE carbon_report_modules m
SET stats = v.stats::jsonb, last_updated = clock_timestamp(),
  status = CASE WHEN v.entries > 0 THEN {IN_PROGRESS} ELSE m.status END
FROM unnest(CAST(:modules AS int[]), CAST(:stats AS text[]), CAST(:entries AS int[])) AS v(id, stats, entries)
WHERE m.id = v.id
""")

_MODULES_OF_REPORTS = text("""
SELECT carbon_report_id, module_type_id, status, stats FROM carbon_report_modules
WHERE carbon_report_id IN (SELECT carbon_report_id FROM carbon_report_modules WHERE id = ANY(:modules))
""")

_STORE_REPORTS = text("""
UPDATE carbon_reports r
SET stats = v.stats::jsonb, completion_progress = v.progress, overall_status = v.status, last_updated = clock_timestamp()
FROM unnest(CAST(:reports AS int[]), CAST(:stats AS text[]), CAST(:progress AS text[]), CAST(:statuses AS int[]))
  AS v(id, stats, progress, status)
WHERE r.id = v.id
""")


@job_type(JobType.AGGREGATION, locks=reports_of_year)
async def aggregation(job: ClaimedJob, connection: AsyncConnection, run: Run) -> Outcome:
    """Refresh the modules in the job's scope, all of the module and year when it has none, and the reports above them."""
    if job.module_type_id is None or job.year is None:
        raise JobError("an aggregation needs a module and a year")
    modules = job.scope_module_ids
    if modules is None:
        place = {"module_type_id": job.module_type_id, "year": job.year, "provider": job.provider}
        modules = list((await connection.scalars(_ALL_MODULES, place)).all())
    reports = await refresh(connection, modules) if modules else 0
    return Outcome(message="Aggregation completed", meta={"modules_refreshed": len(modules), "reports_refreshed": reports})


async def refresh(connection: AsyncConnection, modules: Sequence[int]) -> int:
    """Recompute and store the statistics of these report modules and of their reports; returns the number of reports."""
    now = datetime.now(UTC).isoformat()
    emissions = (await connection.execute(_EMISSIONS, {"modules": list(modules)})).all()
    counts = await _counts(connection, modules)
    stats = await asyncio.to_thread(_module_stats, modules, emissions, counts, now)
    entries = [counts[module].total() for module in modules]
    await connection.execute(_STORE_MODULES, {"modules": list(modules), "stats": stats, "entries": entries})

    states = (await connection.execute(_MODULES_OF_REPORTS, {"modules": list(modules)})).all()
    summaries = await asyncio.to_thread(_report_summaries, states, now)
    await connection.execute(_STORE_REPORTS, summaries)
    return len(summaries["reports"])


async def _counts(connection: AsyncConnection, modules: Sequence[int]) -> Mapping[int, Counter[Lack | None]]:
    """Entries of each module, by what they lack; those under None have emissions."""
    counts: defaultdict[int, Counter[Lack | None]] = defaultdict(Counter)
    for row in await connection.execute(_ENTRY_COUNTS, {"modules": list(modules)}):
        counts[row.module_id][Lack(row.lack or Lack.NOT_COMPUTED)] = row.entries
    for row in await connection.execute(_COMPUTED_COUNTS, {"modules": list(modules)}):
        counts[row.module_id] += Counter({None: row.entries})
        counts[row.module_id] -= Counter({Lack.NOT_COMPUTED: row.entries})
    return counts


def _module_stats(
    modules: Sequence[int], emissions: Sequence[Row[Any]], counts: Mapping[int, Counter[Lack | None]], now: str
) -> list[str]:
    by_module: defaultdict[int, list[Any]] = defaultdict(list)
    for emission in emissions:
        by_module[emission.module_id].append(emission)
    return [dumps(module_stats(by_module[id], entries=counts[id], computed_at=now)) for id in modules]


def _report_summaries(states: Sequence[Row[Any]], now: str) -> dict[str, list[Any]]:
    by_report: defaultdict[int, list[ModuleState]] = defaultdict(list)
    for row in states:
        by_report[row.carbon_report_id].append(ModuleState(row.module_type_id, row.status, row.stats))
    summaries = [report_summary(modules, computed_at=now) for modules in by_report.values()]
    return {
        "reports": list(by_report),
        "stats": [dumps(summary.stats) for summary in summaries],
        "progress": [summary.completion_progress for summary in summaries],
        "statuses": [summary.overall_status for summary in summaries],
    }
