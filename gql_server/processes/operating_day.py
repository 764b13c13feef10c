"""A real operating day: a year is created, factors and data are uploaded as a client would, and the runner does the rest."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from uuid import UUID

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.commands.recalculation import sync_units
from gql_server.commands.years import create_year
from gql_server.db.models import TERMINAL_STATUSES, Pipeline, Upload, YearConfiguration
from gql_server.errors import Conflict, Stop
from gql_server.ledger.wakeup import wake_all
from gql_server.policy import Viewer
from gql_server.worker import Registry

YEAR = 2025
REPLAY_PAUSE_SECONDS = 12
COLOURS = {"SUCCESS": "green", "PARTIAL": "yellow", "FAILED": "red"}


@dataclass(frozen=True, slots=True)
class DayStep:
    """One file of the day, and what an operator should expect of it."""

    file: str
    module: str
    target: str = "data"
    entry_type: str | None = None
    unit: str | None = None

    @property
    def parameters(self) -> dict[str, str]:
        given = {
            "module": self.module,
            "year": str(YEAR),
            "target": self.target,
            "entryType": self.entry_type,
            "unit": self.unit,
            "filename": Path(self.file).name,
        }
        return {name: value for name, value in given.items() if value is not None}


DAY = (
    DayStep("failures/equipment_2023.csv", "equipment_electric_consumption"),
    DayStep("factors/process_emissions.csv", "process_emissions", "factors"),
    DayStep("factors/headcount.csv", "headcount", "factors"),
    DayStep("factors/equipment.csv", "equipment_electric_consumption", "factors"),
    DayStep("factors/purchases.csv", "purchase", "factors"),
    DayStep("failures/headcount_members_few_bad_rows.csv", "headcount", entry_type="member"),
    DayStep("data/headcount_members_2025.csv", "headcount", entry_type="member"),
    DayStep("data/process_emissions_2025.csv", "process_emissions"),
    DayStep("data/headcount_students_2025.csv", "headcount", entry_type="student"),
    DayStep("data/equipment_2025.csv", "equipment_electric_consumption"),
    DayStep("reference/exchange_rates_2025.csv", "purchase", "reference"),
    DayStep("data/purchases_2025.csv", "purchase"),
    DayStep("data/process_emissions_unit_10208.csv", "process_emissions", unit="10208"),
    DayStep("failures/process_emissions_all_bad.csv", "process_emissions"),
    DayStep("failures/purchases_mixed_encodings.csv", "purchase"),
)

REPLAY = (
    DayStep("data/process_emissions_2025_corrected.csv", "process_emissions"),
    DayStep("data/equipment_2025.csv", "equipment_electric_consumption"),
    DayStep("failures/headcount_members_few_bad_rows.csv", "headcount", entry_type="member"),
    DayStep("data/headcount_members_2025.csv", "headcount", entry_type="member"),
    DayStep("data/process_emissions_2025.csv", "process_emissions"),
    DayStep("failures/process_emissions_all_bad.csv", "process_emissions"),
    DayStep("data/purchases_2025.csv", "purchase"),
)


class UploadRefused(Stop):
    """The server did not take a file of the day."""


class Demo:
    """Plays the day against a running API and worker. `operator` is whom the `headers`, fresh at every call, name."""

    def __init__(
        self,
        engine: AsyncEngine,
        registry: Registry,
        operator: Viewer,
        headers: Callable[[], Mapping[str, str]],
        origin: str,
        examples: Path,
        console: Console,
    ) -> None:
        self.engine = engine
        self.registry = registry
        self.operator = operator
        self.console = console
        self.examples = examples
        self.headers = headers
        self._client = httpx.AsyncClient(base_url=origin, timeout=60)

    async def play(self) -> None:
        """Play what of the day has not been played yet."""
        await self._create_year()
        played = await self._uploaded()
        missing = [step for step in DAY if Path(step.file).name not in played]
        if missing:
            self.console.print(f"Uploading the files of an operating day of {YEAR} (some are meant to fail):")
        for step in missing:
            await self._upload(step)

    async def replay(self) -> None:
        """Upload again and again, at a human pace, until cancelled."""
        for step in cycle(REPLAY):
            await asyncio.sleep(REPLAY_PAUSE_SECONDS)
            await self._upload(step)

    async def close(self) -> None:
        await self._client.aclose()

    async def _create_year(self) -> None:
        """Create the year, or go on where an earlier start was interrupted."""
        year = YearConfiguration
        mine = select(year.configuration_completed).where(year.year == YEAR, year.provider == self.operator.provider)
        async with self.engine.begin() as connection:
            row = (await connection.execute(mine)).one_or_none()
            if row is None:
                sync = (await create_year(connection, self.registry, self.operator, YEAR)).pipeline_id
            elif row.configuration_completed is None:
                sync = await self._unit_sync(connection)
            else:
                return
        await wake_all(self.engine)
        await self._follow(f"year {YEAR}, unit sync", sync)

    async def _unit_sync(self, connection: AsyncConnection) -> UUID:
        """The unit sync that is under way, else a new one."""
        try:
            return (await sync_units(connection, self.registry, self.operator, YEAR)).pipeline_id
        except Conflict as conflict:
            return UUID(str(conflict.details["pipelineId"]))

    async def _uploaded(self) -> set[str]:
        async with self.engine.connect() as connection:
            return set((await connection.scalars(select(Upload.filename))).all())

    async def _upload(self, step: DayStep) -> None:
        content = await asyncio.to_thread((self.examples / step.file).read_bytes)
        response = await self._client.post("/uploads", params=step.parameters, content=content, headers=self.headers())
        if not response.is_success:
            raise UploadRefused(f"{step.file}: {response.text}")
        await self._follow(step.file, UUID(response.json()["pipelineId"]))

    async def _follow(self, what: str, pipeline_id: UUID) -> None:
        with self._working(what):
            async for row in self._changes(pipeline_id):
                if row.status in TERMINAL_STATUSES:
                    self._report(what, row)

    async def _changes(self, pipeline_id: UUID) -> AsyncIterator[Row[str, bool, int, str | None]]:
        query = select(Pipeline.status, Pipeline.has_warning, Pipeline.job_count, Pipeline.last_error)
        while True:
            async with self.engine.connect() as connection:
                row = (await connection.execute(query.where(Pipeline.id == pipeline_id))).one()
            yield row
            if row.status in TERMINAL_STATUSES:
                return
            await asyncio.sleep(0.1)

    @contextmanager
    def _working(self, what: str) -> Generator[None]:
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(f"[dim]{what}[/dim]", spinner="dots"):
            yield

    def _report(self, what: str, row: Row[str, bool, int, str | None]) -> None:
        verdict = "WARNING" if row.status == "SUCCESS" and row.has_warning else row.status
        colour = "yellow" if verdict == "WARNING" else COLOURS.get(row.status, "white")
        jobs = f"{row.job_count} job{'s' if row.job_count != 1 else ''}"
        self.console.print(f"  [{colour}]{verdict:<8}[/{colour}] {what}  [dim]{jobs}[/dim]", highlight=False)
        if row.last_error:
            self.console.print(f"           [dim]{escape(row.last_error[:160])}[/dim]", highlight=False)


def summary(rows: dict[str, str]) -> Table:
    """Addresses and commands that a person needs after start-up, a line each."""
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/bold]", value)
    return table
