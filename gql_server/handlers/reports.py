"""Carbon reports and their modules: created where they are missing, for many units in a few statements."""

from collections.abc import Collection, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.catalog import MODULES

_PROJECTS = text("""
INSERT INTO carbon_projects (unit_id) SELECT unnest(CAST(:unit_ids AS int[]))
ON CONFLICT ON CONSTRAINT uq_carbon_projects_unit_type DO NOTHING
""")

_REPORTS = text("""
INSERT INTO carbon_reports (year, unit_id, carbon_project_id, completion_progress)
SELECT :year, p.unit_id, p.id, :progress FROM carbon_projects p
WHERE p.unit_id = ANY(:unit_ids) AND p.carbon_report_type = 'Calculator' ORDER BY p.id
ON CONFLICT ON CONSTRAINT uq_carbon_reports_project_year DO NOTHING
""")

_MODULES = text("""
INSERT INTO carbon_report_modules (carbon_report_id, module_type_id)
SELECT r.id, m.id FROM carbon_reports r CROSS JOIN unnest(CAST(:module_ids AS int[])) AS m(id)
WHERE r.year = :year AND r.unit_id = ANY(:unit_ids) ORDER BY r.id, m.id
ON CONFLICT ON CONSTRAINT uq_carbon_report_modules_report_module DO NOTHING
""")

_MODULE_IDS = text("""
SELECT u.institutional_id, u.id AS unit_id, m.id AS module_id
FROM units u
LEFT JOIN (carbon_reports r JOIN carbon_report_modules m ON m.carbon_report_id = r.id AND m.module_type_id = :module_type_id)
  ON r.unit_id = u.id AND r.year = :year
WHERE u.provider = :provider AND u.institutional_id IS NOT NULL
""")


async def create_reports(connection: AsyncConnection, year: int, unit_ids: Collection[int]) -> int:
    """A report of the year for each unit, inside the unit's calculator. Returns how many were missing."""
    parameters = {"unit_ids": list(unit_ids), "year": year, "progress": f"0/{len(MODULES)}"}
    await connection.execute(_PROJECTS, parameters)
    return (await connection.execute(_REPORTS, parameters)).rowcount


async def create_modules(connection: AsyncConnection, year: int, unit_ids: Collection[int]) -> int:
    """All eight modules of each unit's report of the year. Returns how many were missing."""
    parameters = {"unit_ids": list(unit_ids), "year": year, "module_ids": list(MODULES)}
    return (await connection.execute(_MODULES, parameters)).rowcount


class ReportModules:
    """One module of every unit's report in one year: looked up by the unit's institutional id, created on the fly."""

    def __init__(self, connection: AsyncConnection, provider: str, year: int, module_type_id: int) -> None:
        self._connection = connection
        self._parameters = {"provider": provider, "year": year, "module_type_id": module_type_id}
        self.unit_ids: dict[str, int] = {}
        self.module_ids: dict[str, int] = {}

    async def load(self) -> None:
        """Read the units of the provider, and the modules they have."""
        rows = (await self._connection.execute(_MODULE_IDS, self._parameters)).all()
        self.unit_ids = {row.institutional_id: row.unit_id for row in rows}
        self.module_ids = {row.institutional_id: row.module_id for row in rows if row.module_id is not None}

    async def ensure(self, units: Sequence[str]) -> None:
        """Create the report and the modules of known units that lack them."""
        missing = sorted({self.unit_ids[unit] for unit in units if unit not in self.module_ids})
        if missing:
            year = int(self._parameters["year"])
            await create_reports(self._connection, year, missing)
            await create_modules(self._connection, year, missing)
            await self.load()
