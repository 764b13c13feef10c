"""The same uploads, once calmly and once among kills: both databases end with the same totals."""

import asyncio
import csv
import io
import os
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from gql_server.carbon.catalog import entry_type_by_key, module_by_key
from gql_server.db.models import TargetType
from gql_server.ledger import Submitted
from tests.faults.conftest import YEAR, open_year
from tests.faults.files import example, upload
from tests.faults.processes import Process
from tests.faults.site import Site

SECONDS = float(os.environ.get("GQL_REPLAY_SECONDS", "40"))
SEED = int(os.environ.get("GQL_REPLAY_SEED", "2025"))
LEASE = 2
UNITS = ("10208", "10174", "10175", "10274", "10275")

TOTALS = """
SELECT u.institutional_id AS unit, m.module_type_id AS module, m.stats - 'computed_at' AS module_stats,
  r.stats - 'computed_at' AS report_stats
FROM units u JOIN carbon_reports r ON r.unit_id = u.id JOIN carbon_report_modules m ON m.carbon_report_id = r.id
WHERE m.stats IS NOT NULL OR r.stats IS NOT NULL ORDER BY 1, 2
"""
VERDICTS = """
SELECT p.status, j.result, j.status_message FROM data_ingestion_jobs j JOIN pipelines p ON p.id = j.pipeline_id
WHERE j.parent_job_id IS NULL ORDER BY j.id
"""
# A job may lose more workers here than in a lifetime elsewhere.
PATIENT = (
    """CREATE FUNCTION patient() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.max_attempts := 1000; RETURN NEW; END $$""",
    "CREATE TRIGGER patient BEFORE INSERT ON data_ingestion_jobs FOR EACH ROW EXECUTE FUNCTION patient()",
)
BUSY = "SELECT count(*) FROM data_ingestion_jobs WHERE state = 'RUNNING'"
TERMINATE_ONE = """
SELECT count(pg_terminate_backend(pid)) FROM (
  SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'gql-server worker' AND xact_start IS NOT NULL
  ORDER BY random() LIMIT 1
) AS one
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One upload."""

    module: str
    content: bytes
    target: TargetType = TargetType.DATA_ENTRIES
    entry_type: str | None = None
    unit: str | None = None

    async def take(self, site: Site) -> Submitted:
        known = module_by_key(self.module)
        assert known is not None
        entry_type = entry_type_by_key(known.id, self.entry_type) if self.entry_type else None
        place = {"target": self.target, "data_entry_type_id": entry_type and entry_type.id, "unit": self.unit}
        return await upload(site, YEAR, self.module, self.content, **place)


FACTORS = tuple(
    Step(module, example(f"factors/{file}.csv"), TargetType.FACTORS)
    for module, file in (
        ("process_emissions", "process_emissions"),
        ("headcount", "headcount"),
        ("equipment_electric_consumption", "equipment"),
        ("purchase", "purchases"),
    )
)


def some_rows(chance: random.Random, name: str, most: int = 60) -> bytes:
    """A few rows of an example, in a few units."""
    header, *rows = csv.reader(io.StringIO(example(f"data/{name}_2025.csv").decode("utf-8-sig")))
    kept = chance.sample(rows, chance.randint(1, min(most, len(rows))))
    file = io.StringIO()
    csv.writer(file).writerows([header, *([chance.choice(UNITS), *row[1:]] for row in kept)])
    return file.getvalue().encode()


def process_factors(chance: random.Random) -> bytes:
    """The example's factors, one of them with another value."""
    return example("factors/process_emissions.csv").replace(b",kg,1.5", b",kg,%.2f" % chance.uniform(1, 2))


def a_step(chance: random.Random) -> Step:
    """One of what people upload: data, data again, more data of a unit, changed factors, and mistakes."""
    return chance.choice(
        (
            lambda: Step("process_emissions", some_rows(chance, "process_emissions")),
            lambda: Step("process_emissions", example("data/process_emissions_unit_10208.csv"), unit="10208"),
            lambda: Step("headcount", some_rows(chance, "headcount_students"), entry_type="student"),
            lambda: Step("headcount", some_rows(chance, "headcount_members"), entry_type="member"),
            lambda: Step("equipment_electric_consumption", some_rows(chance, "equipment")),
            lambda: Step("purchase", some_rows(chance, "purchases")),
            lambda: Step("process_emissions", process_factors(chance), TargetType.FACTORS),
            lambda: Step("process_emissions", example("failures/process_emissions_all_bad.csv")),
            lambda: Step("purchase", example("failures/purchases_mixed_encodings.csv")),
            lambda: Step("headcount", example("failures/headcount_members_few_bad_rows.csv"), entry_type="member"),
        )
    )()


class Killer:
    """Keeps workers at work, but kills, now and then, one that has a job, or the backend of one that is in a transaction."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self.site = site
        self.chance = chance
        self.kills = 0
        self._workers: dict[str, Process] = {}
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        for turn in count():
            for number in range(len(self._workers), 3):
                name = f"w{turn}-{number}"
                self._workers[name] = self.site.start(name, "worker", GQL_LEASE=str(LEASE), GQL_SWEEP_INTERVAL="2")
            await asyncio.sleep(self.chance.uniform(0.1, 1.5))
            await self.site.until(BUSY)
            await (self._kill_worker() if self.chance.random() < 0.5 else self._kill_backend())

    async def _kill_worker(self) -> None:
        for row in await self.site.query("SELECT locked_by FROM data_ingestion_jobs WHERE state = 'RUNNING'"):
            if victim := self._workers.pop(row.locked_by, None):
                victim.kill()
                self.kills += 1
                return

    async def _kill_backend(self) -> None:
        self.kills += await self.site.value(TERMINATE_ONE)

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def among_kills(site: Site, chance: random.Random) -> tuple[list[Step], list[int], int]:
    """Upload among kills until the time is over: what was uploaded, the jobs accepted, and the number of kills."""
    for statement in PATIENT:
        await site.execute(statement)
    killer = Killer(site, random.Random(chance.random()))
    steps, accepted = list(FACTORS), [(await step.take(site)).job_id for step in FACTORS]
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            steps.append(a_step(chance))
            accepted.append((await steps[-1].take(site)).job_id)
            await asyncio.sleep(chance.uniform(0, 0.6))
    finally:
        await killer.stop()
    return steps, accepted, killer.kills


async def in_peace(site: Site, steps: Sequence[Step]) -> None:
    """The same uploads, and nobody who disturbs."""
    await open_year(site)
    for step in steps:
        await step.take(site)
    site.start("calm", "worker", "--drain")
    await site.all_finished(SECONDS + 60)


async def test_what_is_uploaded_among_kills_ends_as_it_would_in_peace(site: Site, year: int, calm_site: Site) -> None:
    steps, accepted, kills = await among_kills(site, random.Random(SEED))
    await site.worker("survivor", lease=LEASE)
    seconds = await site.all_finished(SECONDS + 60)

    await in_peace(calm_site, steps)

    totals = await site.query(TOTALS)
    again = await site.value("SELECT count(*) FROM data_ingestion_jobs WHERE attempts > 1")
    assert len(totals) > len(UNITS)
    assert again > 0, "no kill hit a job"
    assert await site.query(VERDICTS) == await calm_site.query(VERDICTS)
    assert totals == await calm_site.query(TOTALS)
    await site.survived(f"{kills} kills among {len(steps)} uploads, {again} jobs hit (seed {SEED})", seconds, accepted)
