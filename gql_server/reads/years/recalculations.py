"""Recalculations in the year × module matrix: the newest of each entry type, and whether emissions follow its factors."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import DATA_ENTRY_TYPES
from gql_server.policy import Viewer, sees_all_jobs
from gql_server.reads.years.freshness import EntryTypeRecalculation
from gql_server.reads.years.visible_jobs import CellKey, VisibleJobs, newest_visible

ENTRY_TYPES = {
    "entry_type_modules": [info.module_id for info in DATA_ENTRY_TYPES.values()],
    "entry_types": list(DATA_ENTRY_TYPES),
}

BEGUN = """
begun AS NOT MATERIALIZED (
  SELECT *, state = 'FINISHED' AND result IS NOT DISTINCT FROM 'ERROR' AS failed FROM data_ingestion_jobs
  WHERE provider = :provider AND job_type IN ('emission_recalc', 'module_emission_recalc') AND state IN ('RUNNING', 'FINISHED')
)
"""

# What failed for some units is done once the same has succeeded for those.
UNREPAIRED = """
j.failed AND NOT EXISTS (
  SELECT FROM begun later WHERE later.year = j.year AND later.module_type_id = j.module_type_id
    AND later.data_entry_type_id = j.data_entry_type_id AND later.id > j.id AND later.state = 'FINISHED' AND NOT later.failed
    AND later.scope_module_ids @> j.scope_module_ids)
"""


def newest_recalculation(condition: str) -> str:
    """SQL of the newest recalculation `j` of the entry type `e` in the cell `c`: one of its own, or one that lists it.

    The order names the whole index of cells: without the entry type, PostgreSQL finds those that have none by reading all
    jobs, newest first.
    """
    of_cell = f"SELECT j.id FROM begun j WHERE j.year = c.year AND j.module_type_id = c.module_type_id AND {condition}"
    own = f"{of_cell} AND j.data_entry_type_id = e.id"
    listed = f"{of_cell} AND j.data_entry_type_id IS NULL AND j.config -> 'data_entry_type_ids' @> to_jsonb(e.id)"
    newest = "ORDER BY j.data_entry_type_id DESC, j.id DESC LIMIT 1"
    return f"greatest(({own} {newest}), ({listed} {newest}))"


def enabled(year: str, module: str, entry_type: str | None = None) -> str:
    """SQL that is true unless the settings of the year disable the module of that number, or the entry type in it."""
    settings = f"y.config -> 'modules' -> CAST({module} AS text)"
    submodule = f" OR {settings} -> 'submodules' -> CAST({entry_type} AS text) -> 'enabled' = 'false'" if entry_type else ""
    return f"""NOT EXISTS (
    SELECT 1 FROM year_configuration y
    WHERE y.provider = :provider AND y.year = {year} AND ({settings} -> 'enabled' = 'false'{submodule})
  )"""


# A failed factor job has changed nothing, and hides no good one before it; `is_current` cannot tell, as it marks the failed.
RECALCULATIONS = text(f"""
WITH {BEGUN}
SELECT c.year, c.module_type_id, e.id, factor.id, r.newest, r.complete, {
    newest_recalculation(f"{UNREPAIRED} AND j.id > coalesce(r.complete, 0)")
}, {enabled("c.year", "c.module_type_id", "e.id")}
FROM unnest(CAST(:years AS int[]), CAST(:modules AS int[])) AS c (year, module_type_id)
JOIN unnest(CAST(:entry_type_modules AS int[]), CAST(:entry_types AS int[])) AS e (module_type_id, id) USING (module_type_id)
JOIN LATERAL (
  SELECT max(j.id) AS id FROM data_ingestion_jobs j
  WHERE j.provider = :provider AND j.year = c.year AND j.module_type_id = c.module_type_id AND j.target_type = 'FACTORS'
    AND j.state = 'FINISHED' AND j.result <> 'ERROR' AND (j.data_entry_type_id = e.id OR j.data_entry_type_id IS NULL)
) factor ON true
JOIN LATERAL (
  SELECT {newest_recalculation("true")} AS newest,
    {newest_recalculation("NOT j.failed AND j.scope_module_ids IS NULL")} AS complete
) r ON true
ORDER BY c.year, c.module_type_id, e.id
""")


async def recalculations_by_module_year(
    connection: AsyncConnection, viewer: Viewer, keys: Sequence[CellKey]
) -> dict[CellKey, dict[int, EntryTypeRecalculation]]:
    """The entry types of each cell, by their number, with the newest jobs that the viewer may see. Everything is looked up by
    index, newest first."""
    parameters = {
        "provider": viewer.provider,
        "years": [year for year, _ in keys],
        "modules": [module for _, module in keys],
        **ENTRY_TYPES,
    }
    found: defaultdict[CellKey, dict[int, EntryTypeRecalculation]] = defaultdict(dict)
    for row in await connection.execute(RECALCULATIONS, parameters):
        found[row[0], row[1]][row[2]] = EntryTypeRecalculation(*row[1:], seen=VisibleJobs(*row[3:5]))
    if sees_all_jobs(viewer):
        return found
    seen = await newest_visible(connection, viewer, keys)
    return {
        cell: {entry_type: replace(of_type, seen=seen[cell].of(entry_type)) for entry_type, of_type in of_cell.items()}
        for cell, of_cell in found.items()
    }


async def entry_types_to_recalculate(connection: AsyncConnection, viewer: Viewer, year: int, module_type_id: int) -> list[int]:
    """Entry types of a module whose emissions are older than their factors: for commands, which check what is asked."""
    cell = (year, module_type_id)
    found = (await recalculations_by_module_year(connection, viewer, [cell])).get(cell, {})
    return [entry_type for entry_type, recalculation in found.items() if recalculation.needs_recalculation]
