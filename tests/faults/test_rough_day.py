"""An operating day in which everything goes wrong, and at its end every screen agrees with a model that was kept by hand."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from gql_server import handlers
from gql_server.worker import registry
from gql_server.worker.worker import Worker, WorkerConfig
from tests.faults.files import EQUIPMENT, PROCESS, PROCESS_HEADER, equipment_file, example, process_file
from tests.faults.rough import CO2, LAPTOP, Entry, Model
from tests.faults.site import Site

assert handlers.__all__
FAULTS = (
    "CREATE TABLE rough (message text, code text, seconds float, times int)",
    "CREATE SEQUENCE rough_tries",
    """CREATE FUNCTION rough() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE fault rough; BEGIN
      SELECT * INTO fault FROM rough;
      IF pg_trigger_depth() = 1 AND (fault.seconds > 0) = (TG_OP = 'DELETE')
        AND nextval('rough_tries') <= fault.times
      THEN
        PERFORM pg_sleep(fault.seconds);
        RAISE EXCEPTION '%', fault.message USING ERRCODE = fault.code;
      END IF;
      RETURN NULL;
    END $$""",
    "CREATE TRIGGER rough BEFORE INSERT OR DELETE ON data_entry_emissions FOR EACH STATEMENT EXECUTE FUNCTION rough()",
)
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
END_ASLEEP = ASLEEP.replace("count(*)", "count(pg_terminate_backend(pid))")

ABORT = """mutation ($input: AbortPipelineInput!) { abortPipeline(input: $input) {
  ... on AbortPipelinePayload { abortedJobs { state } }
} }"""
RETRY = """mutation ($input: RetryPipelineInput!) { retryPipeline(input: $input) {
  ... on RetryPipelinePayload { pipeline { pipelineId } }
  ... on ConflictProblem { reason current { pipelineId } }
} }"""
SCREENS = """{
  pipelines(first: 40) {
    nodes { pipelineId status isResolved jobCount errorCount jobs(first: 10) { nodes { result } } }
    facets(keys: [STATUS, FAILURE_CLASS]) { key values { value count { value precision } filter } }
  }
  unresolved: pipelines(first: 40, filter: { unresolved: true }) { nodes { pipelineId } }
  yearConfiguration(by: { year: 2025 }) { modules {
    module { key } freshness currentPipeline { pipelineId } totals { kgCo2eq entryCount unitCount }
  } }
}"""
LISTED = "query ($filter: PipelineFilter) { pipelines(first: 40, filter: $filter) { nodes { id } } }"
TOTALS = """
SELECT u.institutional_id AS unit, (m.stats ->> 'total')::float8 AS aggregated,
  (SELECT coalesce(sum(x.kg_co2eq), 0) FROM data_entries e JOIN data_entry_emissions x ON x.data_entry_id = e.id
   WHERE e.carbon_report_module_id = m.id) AS emitted
FROM carbon_report_modules m JOIN carbon_reports r ON r.id = m.carbon_report_id JOIN units u ON u.id = r.unit_id
WHERE m.module_type_id = :module AND EXISTS (SELECT FROM data_entries e WHERE e.carbon_report_module_id = m.id)
ORDER BY 1
"""
REPORTS = """
SELECT u.institutional_id AS unit, (r.stats ->> 'total')::float8 AS total
FROM carbon_reports r JOIN units u ON u.id = r.unit_id
WHERE u.institutional_id = ANY(:units) ORDER BY 1
"""
FOREIGN = """
WITH pipeline AS (
  INSERT INTO pipelines (provider, kind, entity_type, module_type_id, year, status)
  VALUES ('ACCRED', 'csv_ingest', 'MODULE_PER_YEAR', 7, 2025, 'SUCCESS') RETURNING id
), jobs AS (
  INSERT INTO data_ingestion_jobs (pipeline_id, provider, job_type, entity_type, module_type_id, data_entry_type_id, year,
    state, result, started_at, finished_at)
  SELECT id, 'ACCRED', job_type, 'MODULE_PER_YEAR', 7, entry_type, 2025, 'FINISHED', 'SUCCESS', now(), now()
  FROM pipeline, (VALUES ('csv_ingest', NULL), ('emission_recalc', 40)) AS job (job_type, entry_type)
)
SELECT id FROM pipeline
"""


@dataclass
class Day:
    """Events of the day, for the product and for the model."""

    site: Site
    client: httpx.AsyncClient
    model: Model = field(default_factory=Model)
    ids: dict[str, str] = field(default_factory=dict[str, str])
    shifts: int = 0

    async def upload(self, name: str, module: str, content: bytes, **parameters: str) -> None:
        """Upload a file as a client does; nobody works on it yet."""
        asked = {"module": module, "year": "2025", "filename": f"{name}.csv", **parameters}
        response = await self.client.post("/uploads", params=asked, content=content)
        assert response.is_success, response.text
        self.ids[name] = response.json()["pipelineId"]

    async def work(self) -> None:
        """A worker does everything there is to do."""
        self.shifts += 1
        site, config = self.site, WorkerConfig(name=f"shift {self.shifts}")
        await Worker(site.cluster.dsn(site.database), site.engine, registry, config).run(drain=True)

    @asynccontextmanager
    async def fault(self, message: str, code: str, times: int = 1000, seconds: float = 0) -> AsyncGenerator[None]:
        """So many recalculations fail with this error when they write, or hang so long when they begin to."""
        await self.site.execute("ALTER SEQUENCE rough_tries RESTART")
        await self.site.execute(
            "INSERT INTO rough VALUES (:message, :code, :seconds, :times)",
            message=message,
            code=code,
            seconds=seconds,
            times=times,
        )
        yield
        await self.site.execute("DELETE FROM rough")

    async def query(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = (await self.client.post("/graphql", json={"query": query, "variables": variables})).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    async def mutate(self, mutation: str, name: str, **values: Any) -> dict[str, Any]:
        """Result of the mutation on the run of that name."""
        found = await self.query("query ($id: UUID!) { pipeline(by: { pipelineId: $id }) { id } }", id=self.ids[name])
        return await self.query(mutation, input={"id": found["pipeline"]["id"], **values})


def process_rows(*rows: tuple[str, float]) -> bytes:
    return PROCESS_HEADER + b"".join(f"{unit},CO2,Glace carbonique,{quantity},\n".encode() for unit, quantity in rows)


def of_unit(quantity: float) -> bytes:
    """A file of one unit has no unit column."""
    return process_file(quantity, unit="").replace(b"unit_institutional_id,", b"").replace(b"\n,CO2", b"\nCO2")


@pytest.fixture
async def day(site: Site, year: int) -> AsyncIterator[Day]:
    for statement in FAULTS:
        await site.execute(statement)
    async with site.serve() as client:
        day = Day(site, client)
        day.ids["sync"] = str(await site.value("SELECT id FROM pipelines"))
        day.model.ended("sync", "SUCCESS", "sync")
        yield day


async def prepare(day: Day) -> None:
    """Factors, and the file of the year."""
    for module, file in ((PROCESS, "factors/process_emissions.csv"), (EQUIPMENT, "factors/equipment.csv")):
        await day.upload(f"factors of {module}", module, example(file), target="factors")
        await day.work()
        day.model.ended(f"factors of {module}", "SUCCESS", "factors", module)
    await day.upload("process", PROCESS, process_rows(("10208", 100), ("10209", 50)))
    await day.work()
    day.model.ended("process", "SUCCESS", "data", PROCESS)
    day.model.year_landed(PROCESS, [Entry("10208", 100 * CO2), Entry("10209", 50 * CO2)])
    day.model.recalculated(PROCESS)


async def shared_work_fails(day: Day) -> None:
    """Two units upload at once; the recalculation that they share cannot write."""
    async with day.fault("could not extend file: no space left on device", "53100"):
        await day.upload("first of two", PROCESS, of_unit(10), unit="10208")
        await day.upload("second of two", PROCESS, of_unit(20), unit="10209")
        await day.work()
    day.model.ended("first of two", "PARTIAL", "data", PROCESS, "10208", failure="UNCLASSIFIED")
    day.model.ended("second of two", "PARTIAL", "data", PROCESS, "10209")
    day.model.unit_landed(PROCESS, Entry("10208", 10 * CO2), Entry("10209", 20 * CO2))


async def shared_work_succeeds(day: Day) -> None:
    """Two others do the same, and it works; the emissions of the first two are still missing."""
    await day.upload("third unit", PROCESS, of_unit(30), unit="10274")
    await day.upload("fourth unit", PROCESS, of_unit(40), unit="10275")
    await day.work()
    for name, unit, quantity in (("third unit", "10274", 30), ("fourth unit", "10275", 40)):
        day.model.ended(name, "SUCCESS", "data", PROCESS, unit)
        day.model.unit_landed(PROCESS, Entry(unit, quantity * CO2))
    day.model.recalculated(PROCESS, "10274", "10275")


async def a_retry_resumes(day: Day) -> None:
    """One of the first two does what the diagnosis says: the recalculation runs again for both, and no row comes twice."""
    retried = await day.mutate(RETRY, "second of two")
    day.ids["second again"] = retried["retryPipeline"]["pipeline"]["pipelineId"]
    await day.work()
    day.model.ended("second again", "SUCCESS", "data", PROCESS, "10209")
    day.model.recalculated(PROCESS, "10208", "10209")


async def deadlocks(day: Day) -> None:
    """Two deadlocks in a row are nobody's business; a third is told, and made good by the next upload."""
    async with day.fault("deadlock detected", "40P01", times=2):
        await day.upload("laptops", EQUIPMENT, equipment_file(3))
        await day.work()
    day.model.ended("laptops", "SUCCESS", "data", EQUIPMENT)
    async with day.fault("deadlock detected", "40P01", times=3):
        await day.upload("more laptops", EQUIPMENT, equipment_file(5))
        await day.work()
    day.model.ended("more laptops", "PARTIAL", "data", EQUIPMENT, failure="DEADLOCK")
    day.model.year_landed(EQUIPMENT, [Entry("10208", LAPTOP) for _ in range(5)])


async def an_abort(day: Day) -> None:
    """Two uploads share a recalculation that hangs. The one that has it is aborted; the other goes on as if nothing was."""
    async with day.fault("it hung", "57014", seconds=600):
        await day.upload("aborted laptops", EQUIPMENT, equipment_file(6))
        await day.upload("last laptops", EQUIPMENT, equipment_file(7))
        worker = await day.site.worker("patient")
        await day.site.until(f"SELECT ({ASLEEP}) = 1", 60)
    aborted = await day.mutate(ABORT, "aborted laptops", reason="wrong file")
    assert aborted["abortPipeline"]["abortedJobs"] == [{"state": "FINISHED"}] * 3
    await day.site.all_finished(120)
    worker.kill()
    day.model.ended("aborted laptops", "PARTIAL", "data", EQUIPMENT, failure="ABORTED")
    day.model.ended("last laptops", "SUCCESS", "data", EQUIPMENT)
    day.model.year_landed(EQUIPMENT, [Entry("10208", LAPTOP) for _ in range(7)])
    day.model.recalculated(EQUIPMENT)


async def killed_workers(day: Day) -> None:
    """A worker is killed in the middle of a recalculation, and another takes over; the next time nobody may."""
    await _killed(day, "survivor", "10208", 50)
    await day.site.worker("medic", lease=2, GQL_SWEEP_INTERVAL="1")
    await day.site.all_finished(120)
    day.model.ended("survivor", "SUCCESS", "data", PROCESS, "10208")
    day.model.unit_landed(PROCESS, Entry("10208", 50 * CO2))
    day.model.recalculated(PROCESS, "10208")
    day.site.processes[-1].kill()
    await _killed(day, "victim", "10274", 60)
    await day.site.execute("UPDATE data_ingestion_jobs SET max_attempts = attempts WHERE state = 'RUNNING'")
    await day.site.worker("doctor", lease=2, GQL_SWEEP_INTERVAL="1")
    await day.site.all_finished(120)
    day.model.ended("victim", "PARTIAL", "data", PROCESS, "10274", failure="WORKER_LOST")
    day.model.unit_landed(PROCESS, Entry("10274", 60 * CO2))


async def _killed(day: Day, name: str, unit: str, quantity: float) -> None:
    async with day.fault("never said", "P0001", seconds=600):
        await day.upload(name, PROCESS, of_unit(quantity), unit=unit)
        worker = await day.site.worker(f"doomed {name}", lease=2)
        await day.site.until(f"SELECT ({ASLEEP}) = 1", 60)
        worker.kill()
    await day.site.execute(END_ASLEEP)


async def a_foreign_writer(day: Day) -> None:
    """Another program writes a pipeline that says SUCCESS, recalculated and never aggregated."""
    async with day.site.engine.begin() as connection:
        day.ids["foreign"] = str(await connection.scalar(text(FOREIGN)))
    await day.site.until(
        "SELECT count(*) = 1 FROM data_ingestion_jobs WHERE job_type = 'aggregation' AND module_type_id = 7", 60
    )
    await day.site.all_finished(120)
    day.model.ended("foreign", "SUCCESS", "data", "external_cloud_and_ai")


async def bad_files(day: Day) -> None:
    """A file of a machine that writes commas for points, in which one row of ten can be read; and one without a good row."""
    rows = "".join(f'10208,CO2,Glace carbonique,"{quantity},5",\n' for quantity in range(9))
    await day.upload("wrong locale", PROCESS, PROCESS_HEADER + rows.encode() + b"10208,CO2,Glace carbonique,7,\n")
    await day.work()
    day.model.ended("wrong locale", "FAILED", "data", PROCESS, failure="TOO_MANY_ROWS_REJECTED")
    await day.upload("all bad", PROCESS, PROCESS_HEADER + b"nowhere,CO2,Glace carbonique,1,\n")
    await day.work()
    day.model.ended("all bad", "FAILED", "data", PROCESS, failure="ALL_ROWS_REJECTED")


async def a_retry_comes_too_late(day: Day) -> None:
    """Upload a failed file again, corrected: a retry of the old file is then told of the new one."""
    await day.upload("corrected", PROCESS, process_rows(("10208", 110), ("10210", 5)))
    await day.work()
    day.model.ended("corrected", "SUCCESS", "data", PROCESS)
    day.model.year_landed(PROCESS, [Entry("10208", 110 * CO2), Entry("10210", 5 * CO2)])
    day.model.recalculated(PROCESS)
    refused = await day.mutate(RETRY, "wrong locale")
    newer = {"pipelineId": day.ids["corrected"]}
    assert refused["retryPipeline"] == {"reason": "SUPERSEDED", "current": newer}


async def test_an_operating_day_in_which_everything_goes_wrong_ends_as_the_model_says(day: Day) -> None:
    await prepare(day)
    await shared_work_fails(day)
    await agrees(day)
    await shared_work_succeeds(day)
    await agrees(day)
    await a_retry_resumes(day)
    await deadlocks(day)
    await agrees(day)
    await an_abort(day)
    await bad_files(day)
    await agrees(day)
    await a_retry_comes_too_late(day)
    await killed_workers(day)
    await a_foreign_writer(day)
    await agrees(day)


async def agrees(day: Day) -> None:
    """Every status, counter and total that a client can read is the model's, and so is what is stored."""
    screens = await day.query(SCREENS)
    statuses_agree(day, screens)
    await counters_agree(day, screens)
    board_agrees(day, screens)
    await totals_agree(day)


def statuses_agree(day: Day, screens: dict[str, Any]) -> None:
    model, names = day.model, {id: name for name, id in day.ids.items()}
    rows = {names[row["pipelineId"]]: row for row in screens["pipelines"]["nodes"]}
    assert {name: row["status"] for name, row in rows.items()} == model.statuses
    assert [names[row["pipelineId"]] for row in screens["unresolved"]["nodes"]] == model.unresolved
    failed = [name for name, row in rows.items() if row["status"] in ("PARTIAL", "FAILED")]
    assert [name for name in failed if not rows[name]["isResolved"]] == model.unresolved
    for name, row in rows.items():
        results = [job["result"] for job in row["jobs"]["nodes"]]
        assert (row["jobCount"], row["errorCount"]) == (len(results), results.count("ERROR")), name


async def counters_agree(day: Day, screens: dict[str, Any]) -> None:
    facets = {facet["key"]: facet["values"] for facet in screens["pipelines"]["facets"]}
    for key, model in (("STATUS", day.model.counters), ("FAILURE_CLASS", day.model.failures)):
        exact = {name: {"value": count, "precision": "EXACT"} for name, count in model.items()}
        assert {each["value"]: each["count"] for each in facets[key]} == exact
        for each in facets[key]:
            listed = await day.query(LISTED, filter=each["filter"])
            assert len(listed["pipelines"]["nodes"]) == each["count"]["value"], each


def board_agrees(day: Day, screens: dict[str, Any]) -> None:
    model, board = day.model, {cell["module"]["key"]: cell for cell in screens["yearConfiguration"]["modules"]}
    assert {key for key, cell in board.items() if cell["freshness"] == "LAST_RECALCULATION_FAILED"} == model.lacking
    assert {cell["currentPipeline"] for cell in board.values()} == {None}
    for module in model.modules:
        shown, by_unit = board[module]["totals"], model.totals(module)
        assert round(shown["kgCo2eq"], 6) == round(sum(by_unit.values()), 6), module
        assert (shown["entryCount"], shown["unitCount"]) == (len(model.entries(module)), len(by_unit)), module


async def totals_agree(day: Day) -> None:
    of_reports: dict[str, float] = {}
    for module, number in ((PROCESS, 8), (EQUIPMENT, 4)):
        rows = await day.site.query(TOTALS, module=number)
        expected = day.model.totals(module)
        assert {row.unit: round(row.emitted, 6) for row in rows} == expected
        assert {row.unit: round(row.aggregated, 6) for row in rows} == expected
        for unit, kg in expected.items():
            of_reports[unit] = of_reports.get(unit, 0) + kg
    reports = await day.site.query(REPORTS, units=list(of_reports))
    assert {row.unit: round(row.total, 6) for row in reports} == {unit: round(kg, 6) for unit, kg in of_reports.items()}
