"""The example of a job type, run by a real worker, and what becomes of modules that cannot be loaded."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.errors import Stop
from gql_server.settings import Settings
from gql_server.worker import registry
from gql_server.worker.plugins import load_job_modules
from gql_server.worker.worker import Worker, WorkerConfig

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "job_type"


@pytest.fixture
def job_modules(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The example's module, importable as its README says."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("GQL_JOB_MODULES", "nightly_export")
    return Settings().job_modules


async def report(engine: AsyncEngine, unit: str, total: float) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("""
            WITH u AS (
              INSERT INTO units (provider, institutional_code, institutional_id, name, level, path)
              VALUES ('ACCRED', :unit, :unit, 'Labo, ' || :unit, 4, :unit) RETURNING id
            ), p AS (INSERT INTO carbon_projects (unit_id) SELECT id FROM u RETURNING id, unit_id)
            INSERT INTO carbon_reports (year, unit_id, carbon_project_id, stats)
            SELECT 2025, unit_id, id, jsonb_build_object('total', CAST(:total AS float8)) FROM p
            """),
            {"unit": unit, "total": total},
        )


async def test_the_example_exports_a_year_and_a_second_run_replaces_the_file(
    dsn: str, engine: AsyncEngine, tmp_path: Path, job_modules: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTLY_EXPORT_DIR", str(tmp_path))
    load_job_modules(job_modules)
    load_job_modules(job_modules)
    from nightly_export import submit_export  # pyright: ignore[reportMissingImports]

    await report(engine, "10209", 75.5)
    await submit_export(dsn, "ACCRED", 2025)
    await Worker(dsn, engine, registry, WorkerConfig(name="w1")).run(drain=True)
    await report(engine, "10208", 150.0)
    submitted = await submit_export(dsn, "ACCRED", 2025)

    await Worker(dsn, engine, registry, WorkerConfig(name="w1")).run(drain=True)

    assert [path.name for path in tmp_path.iterdir()] == ["ACCRED_2025.csv"]
    assert (tmp_path / "ACCRED_2025.csv").read_text(encoding="utf-8").splitlines() == [
        "unit_institutional_id,unit,total_kg_co2eq",
        '10208,"Labo, 10208",150.0',
        '10209,"Labo, 10209",75.5',
    ]
    async with engine.connect() as connection:
        job = (await connection.execute(text("SELECT * FROM data_ingestion_jobs ORDER BY id DESC LIMIT 1"))).one()
        status = await connection.scalar(text("SELECT status FROM pipelines WHERE id = :id"), {"id": submitted.pipeline_id})
    assert (job.id, job.result, job.status_message) == (submitted.job_id, "SUCCESS", "2 totals exported")
    assert [(phase["name"], phase["state"]) for phase in job.meta["phases"]] == [("read", "finished"), ("write", "finished")]
    assert (job.meta["file"], job.meta["rows"], status) == ("ACCRED_2025.csv", 2, "SUCCESS")


def test_a_module_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "taken.py").write_text(
        "from gql_server.worker import job_type\n@job_type('csv_ingest')\nasync def again(job, connection, run): ...\n"
    )

    with pytest.raises(Stop, match=r"^GQL_JOB_MODULES: nowhere\.at\.all cannot be imported: No module named 'nowhere'$"):
        load_job_modules(["nowhere.at.all"])
    importlib.import_module("gql_server.handlers")
    with pytest.raises(Stop, match=r"^GQL_JOB_MODULES: taken cannot be imported: job type 'csv_ingest' is already registered$"):
        load_job_modules(["taken"])


def test_a_worker_with_an_unknown_module_says_so_and_claims_nothing(dsn: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from gql_server.cli import main; main()", "worker", "--drain"],
        env={"PATH": "/usr/bin:/bin", "GQL_DATABASE_URL": dsn, "GQL_JOB_MODULES": " missing_one , ", "COLUMNS": "200"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == "gql-server: GQL_JOB_MODULES: missing_one cannot be imported: No module named 'missing_one'\n"
