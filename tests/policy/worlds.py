"""Small ledgers with fixed ids and a fixed clock, and what of them each viewer may know, by plain rules of their own."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server import db
from gql_server.db import models
from gql_server.db.models import EntityType, JobType
from gql_server.db.models import carbon as carbon_tables
from gql_server.ledger.progress import is_error, pipeline_status
from gql_server.policy import Role, Viewer, permissions_of
from tests.databases import clone_of, execute, on_database, share_statements

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MODULES = {4: "equipment_electric_consumption", 5: "purchase", 8: "process_emissions"}
ENTRY_TYPES = {4: 10, 5: 60, 8: 50}
OPERATIONS = "backoffice.pipeline_operations:view"
CONFIGURATION = "backoffice.configuration:view"

Row = dict[str, Any]


def person(role: Role | str, unit: str | None = None, provider: str = "DEFAULT", *, only: str = "") -> Viewer:
    """A viewer with the permissions of a role, or with only those that hold a text."""
    held = frozenset(each for each in permissions_of(role, unit) if only in each)
    return Viewer(subject="someone", provider=provider, permissions=held)


PERSONAS: Mapping[str, Viewer] = MappingProxyType(
    {
        "superadmin": person(Role.SUPERADMIN),
        "operator": person(Role.OPERATOR),
        "principal of A": person(Role.PRINCIPAL, "A"),
        "principal of B": person(Role.PRINCIPAL, "B"),
        "principal of A for purchases": person(Role.PRINCIPAL, "A", only="purchase"),
        "may sync purchases everywhere": replace(person("none"), permissions=frozenset({"modules.purchase:sync"})),
        "standard": person(Role.STANDARD),
        "nobody": person("none"),
        "operator of TEST": person(Role.OPERATOR, provider="TEST"),
        "principal of A in TEST": person(Role.PRINCIPAL, "A", "TEST"),
    }
)


def all_seeing(viewer: Viewer) -> Viewer:
    """The same person with every permission."""
    return replace(viewer, permissions=permissions_of(Role.SUPERADMIN, None))


@dataclass(frozen=True)
class World:
    """Rows of every table, in the order in which they can be inserted."""

    uploads: tuple[Row, ...] = ()
    pipelines: tuple[Row, ...] = ()
    jobs: tuple[Row, ...] = ()
    groups: tuple[Row, ...] = ()
    acknowledgements: tuple[Row, ...] = ()
    row_errors: tuple[Row, ...] = ()
    pods: tuple[Row, ...] = ()
    years: tuple[Row, ...] = ()
    units: tuple[Row, ...] = ()
    projects: tuple[Row, ...] = ()
    reports: tuple[Row, ...] = ()
    report_modules: tuple[Row, ...] = ()
    views: tuple[Row, ...] = ()
    bulk_aborts: tuple[Row, ...] = ()


TABLES = {
    "uploads": models.Upload,
    "pipelines": models.Pipeline,
    "jobs": models.Job,
    "groups": models.FailureGroup,
    "acknowledgements": models.Acknowledgement,
    "row_errors": models.RowError,
    "pods": models.Pod,
    "years": models.YearConfiguration,
    "units": carbon_tables.Unit,
    "projects": carbon_tables.CarbonProject,
    "reports": carbon_tables.CarbonReport,
    "report_modules": carbon_tables.CarbonReportModule,
    "views": models.TriageView,
    "bulk_aborts": models.BulkAbort,
}


# ── what a viewer may know ──


def known_to(viewer: Viewer, world: World) -> World:
    """The part of a world that the viewer may know: rows they may see, with the texts they may read."""
    operates = OPERATIONS in viewer.permissions
    pipelines = {row["id"]: row for row in world.pipelines if sees_pipeline(viewer, row)}
    jobs = [row for row in world.jobs if _sees_job(viewer, row, pipelines)]
    texts = {row["id"]: row if operates else _expurgated(row) for row in jobs}
    uploads = {row["upload_id"] for row in jobs}
    prints = {(row["provider"], row["failure_fingerprint"]) for row in jobs}
    units = {row["id"]: row for row in world.units if _sees_unit(viewer, row)}
    reports = {row["id"]: row for row in world.reports if row["unit_id"] in units}
    groups = [row for row in world.groups if (row["provider"], row["fingerprint"]) in prints]
    return World(
        uploads=tuple(row for row in world.uploads if row["id"] in uploads),
        pipelines=tuple(row if operates else _told(row, texts.values()) for row in pipelines.values()),
        jobs=tuple(texts.values()),
        groups=tuple(row if operates else {**row, "cause": ""} for row in groups),
        acknowledgements=tuple(row for row in world.acknowledgements if (row["provider"], row["fingerprint"]) in prints),
        row_errors=tuple(row for row in world.row_errors if row["job_id"] in texts),
        pods=world.pods,
        years=tuple(row for row in world.years if _sees_year(viewer, row)),
        units=tuple(units.values()),
        projects=tuple(row for row in world.projects if row["unit_id"] in units),
        reports=tuple(reports.values()),
        report_modules=tuple(row for row in world.report_modules if _knows_total(viewer, row, reports, units)),
        views=tuple(row for row in world.views if _sees_view(viewer, row)),
        bulk_aborts=tuple(row for row in world.bulk_aborts if operates and row["provider"] == viewer.provider),
    )


def sees_pipeline(viewer: Viewer, row: Row) -> bool:
    if row["provider"] != viewer.provider:
        return False
    if OPERATIONS in viewer.permissions:
        return True
    module, unit = MODULES.get(row["module_type_id"]), row["unit_institutional_id"]
    if row["entity_type"] != EntityType.MODULE_UNIT_SPECIFIC or module is None or unit is None:
        return False
    return not viewer.permissions.isdisjoint({f"modules.{module}:sync", f"modules.{module}:sync@{unit}"})


def _sees_job(viewer: Viewer, row: Row, seen: Mapping[UUID, Row]) -> bool:
    if row["provider"] != viewer.provider:
        return False
    return OPERATIONS in viewer.permissions if row["pipeline_id"] is None else row["pipeline_id"] in seen


def _sees_year(viewer: Viewer, row: Row) -> bool:
    return row["provider"] == viewer.provider and (CONFIGURATION in viewer.permissions or row["is_started"])


def _sees_unit(viewer: Viewer, row: Row) -> bool:
    views = (each.removeprefix("modules.") for each in viewer.permissions if each.startswith("modules."))
    reached = {each.partition("@")[2] for each in views if each.partition(":")[2].partition("@")[0] == "view"}
    is_known = OPERATIONS in viewer.permissions or not reached.isdisjoint({"", row["institutional_id"]})
    return row["provider"] == viewer.provider and is_known


def _knows_total(viewer: Viewer, row: Row, reports: Mapping[int, Row], units: Mapping[int, Row]) -> bool:
    if row["carbon_report_id"] not in reports:
        return False
    unit, module = units[reports[row["carbon_report_id"]]["unit_id"]]["institutional_id"], MODULES[row["module_type_id"]]
    wanted = {OPERATIONS, CONFIGURATION, f"modules.{module}:view", f"modules.{module}:view@{unit}"}
    return not viewer.permissions.isdisjoint(wanted)


def _sees_view(viewer: Viewer, row: Row) -> bool:
    return row["provider"] == viewer.provider and (row["is_shared"] or row["owner_subject"] == viewer.subject)


def _expurgated(job: Row) -> Row:
    """Without the text of an unexpected error, which can hold SQL and row values; that there is one, and how long, may show."""
    if "error" not in job["meta"]:
        return job
    meta = {**job["meta"], "error": "-" * len(job["meta"]["error"])}
    return {**job, "status_message": "The job failed unexpectedly.", "meta": meta}


def _told(pipeline: Row, jobs: Iterable[Row]) -> Row:
    """With what its root says, if that is what failed."""
    root = min((job for job in jobs if job["pipeline_id"] == pipeline["id"]), key=lambda job: job["id"], default=None)
    if pipeline["status"] == "FAILED" and root:
        return {**pipeline, "last_error": root["status_message"]}
    return {**pipeline, "last_error": "A step after the upload failed." if pipeline["error_count"] else None}


# ── building ──


def key(number: int) -> UUID:
    """A UUIDv7 of that number."""
    return UUID(f"01930000-0000-7000-8000-{number:012x}")


def at(number: float) -> datetime:
    """An instant of the fortnight before now, later for greater numbers."""
    return NOW - timedelta(days=14) + timedelta(minutes=10 * number)


JOB: Row = {
    "pipeline_id": None,
    "provider": "DEFAULT",
    "job_type": JobType.CSV_INGEST,
    "entity_type": EntityType.MODULE_PER_YEAR,
    "module_type_id": 5,
    "year": 2025,
    "data_entry_type_id": None,
    "target_type": "DATA_ENTRIES",
    "ingestion_method": "csv",
    "state": "FINISHED",
    "result": "SUCCESS",
    "status_message": "12 inserted",
    "meta": {},
    "config": {},
    "parent_job_id": None,
    "serves": [],
    "upload_id": None,
    "affected_module_ids": None,
    "failure_class": None,
    "failure_fingerprint": None,
    "lock_keys": [],
    "locked_by": None,
    "locked_at": None,
    "claimed_by": "pod-1",
    "run_after": None,
    "attempts": 1,
    "is_current": False,
}
UNFINISHED = {
    "NOT_STARTED": {"result": None, "started_at": None, "finished_at": None, "attempts": 0, "claimed_by": None},
    "RUNNING": {"result": None, "finished_at": None, "locked_by": "pod-1"},
}


def job(number: int, **values: Any) -> Row:
    """A job that succeeded, unless its values say otherwise."""
    start = at(number)
    row = {"id": number, "time_key": key(number), **JOB, "created_at": start, "started_at": start + timedelta(seconds=5)}
    row |= {"finished_at": start + timedelta(seconds=30 + number)}
    row |= UNFINISHED.get(values.get("state", ""), {}) | values
    if row["locked_by"] and row["locked_at"] is None:
        row["locked_at"] = start + timedelta(seconds=20)
    return row


def failed(number: int, text: str, **values: Any) -> Row:
    """Columns of a job that failed without expecting it."""
    shape = {"failure_class": "UNCLASSIFIED", "failure_fingerprint": f"{number % 30:064x}"}
    return {"result": "ERROR", "status_message": text, "meta": {"error": f"IntegrityError: {text}"}, **shape, **values}


def pipeline(number: int, jobs: list[Row], **values: Any) -> tuple[Row, list[Row]]:
    """A pipeline and its jobs, which share its scope; stored as the runner would have left it."""
    scope = {"provider": "DEFAULT", "entity_type": EntityType.MODULE_PER_YEAR, "module_type_id": 5, "year": 2025}
    scope |= {name: values[name] for name in scope.keys() & values.keys()}
    members = [{**each, **scope, "pipeline_id": key(number)} for each in jobs]
    for each in members[1:]:
        # children reach wider than an upload for one unit: a viewer must not come in through them
        each |= {"entity_type": EntityType.MODULE_PER_YEAR, "parent_job_id": members[0]["id"]}
    facts: list[Any] = [SimpleNamespace(**each) for each in members]
    status = pipeline_status(facts, owes_aggregation=False)
    errors = [each for each, fact in zip(members, facts, strict=True) if is_error(fact)]
    row = {
        "id": key(number),
        **scope,
        "kind": members[0]["job_type"],
        "status": status,
        "ingestion_method": "csv",
        "unit_institutional_id": None,
        "expected_recalc": sum(each["job_type"] == JobType.EMISSION_RECALC for each in members),
        "job_count": len(members),
        "error_count": len(errors),
        "has_warning": any(each["result"] == "WARNING" for each in members),
        "last_error": errors[0]["status_message"] if errors else None,
        "created_by": {"user_id": f"user-{number % 3}", "name": f"Ada {number}", "email": f"ada{number}@example.org"},
        "aborted_at": None,
        "created_at": members[0]["created_at"],
        "started_at": members[0]["started_at"],
        "finished_at": members[-1]["finished_at"] if status in ("SUCCESS", "PARTIAL", "FAILED") else None,
        "updated_at": members[-1]["finished_at"] or members[-1]["created_at"],
    }
    return row | values, members


def groups_of(jobs: Iterable[Row]) -> tuple[Row, ...]:
    """The failure groups of jobs, which work of any unit shares."""
    prints = sorted({(row["provider"], row["failure_fingerprint"]) for row in jobs if row["failure_fingerprint"]})
    return tuple(
        {
            "provider": provider,
            "fingerprint": print_,
            "failure_class": "UNCLASSIFIED",
            "job_type": JobType.CSV_INGEST,
            "title": "An ingest failed unexpectedly",
            "cause": f"duplicate key of {provider}",
            "rule": "nothing more is known",
        }
        for provider, print_ in prints
    )


def acknowledged(groups: Iterable[Row]) -> tuple[Row, ...]:
    """Every other group is taken."""
    taken = [group for number, group in enumerate(groups) if number % 2]
    by = {"user_id": "user-1", "name": "Ada 1", "email": "ada1@example.org"}
    of_group = ("provider", "fingerprint")
    return tuple({**{name: group[name] for name in of_group}, "at": at(60), "by": by, "note": "a note"} for group in taken)


def pod(name: str, *, seen: timedelta, sha: str) -> Row:
    return {
        "pod_id": name,
        "git_sha": sha,
        "app_version": "1.0",
        "started_at": NOW - timedelta(days=2),
        "last_heartbeat_at": NOW - seen,
    }


def year(number: int, provider: str, *, is_open: bool) -> Row:
    return {
        "year": number,
        "provider": provider,
        "is_started": is_open,
        "configuration_completed": at(0) if is_open else None,
        "config": {"modules": {"5": {"enabled": True}}, "secret": f"of {provider} {number}"},
        "created_at": at(0),
        "updated_at": at(1),
    }


def unit(number: int, provider: str, name: str) -> Row:
    return {
        "id": number,
        "provider": provider,
        "institutional_code": name,
        "institutional_id": name,
        "name": name,
        "level": 1,
        "path": name,
    }


def project(unit_id: int) -> Row:
    return {"id": unit_id, "unit_id": unit_id}


def report(unit_id: int, of_year: int) -> Row:
    return {"id": 100 * of_year + unit_id, "year": of_year, "unit_id": unit_id, "carbon_project_id": unit_id}


def report_module(unit_id: int, of_year: int, module: int, kg: float) -> Row:
    """A module of a report, with what its aggregation stored."""
    scopes = {"scope1": kg, "scope2": 2 * kg, "scope3": 4 * kg, "total": 7 * kg, "it_total_kg": kg / 2}
    stats = {**scopes, "entry_count": int(kg), "computed_at": at(kg).isoformat()}
    report_id = report(unit_id, of_year)["id"]
    return {"id": 100 * report_id + module, "carbon_report_id": report_id, "module_type_id": module, "stats": stats}


def upload(number: int, provider: str) -> Row:
    return {
        "id": key(90_000 + number),
        "provider": provider,
        "filename": f"file-{number}.csv",
        "size_bytes": 10,
        "sha256": f"{number:064x}",
        "created_at": at(number),
    }


def view(number: int, provider: str, owner: str, *, is_shared: bool) -> Row:
    return {
        "id": key(95_000 + number),
        "provider": provider,
        "owner_subject": owner,
        "owner": {"user_id": owner, "name": owner, "email": f"{owner}@example.org"},
        "name": f"view {number}",
        "description": None,
        "document": "{ viewer { id } }",
        "document_id": f"{number:064x}",
        "variables": {},
        "is_shared": is_shared,
    }


BULK_ABORTS = {"DEFAULT": key(96_001), "TEST": key(96_002)}
"""One of each provider."""


def bulk_abort(provider: str, pipelines: Iterable[UUID]) -> Row:
    """One of somebody, half done, that left the first alone."""
    ids = sorted(pipelines)
    done = len(ids) // 2
    progress = {"done": done, "succeeded": max(0, done - 1), "refused": ids[: min(1, done)], "started_at": at(50)}
    names = {"id": BULK_ABORTS[provider], "provider": provider, "subject": "other", "reason": f"secret of {provider}"}
    return {**names, "pipeline_ids": ids, **progress, "created_at": at(49), "finished_at": None}


def bulk_aborts(pipelines: Iterable[Row]) -> tuple[Row, ...]:
    """One of each provider, of all of its pipelines."""
    rows = [*pipelines]
    return tuple(bulk_abort(each, [row["id"] for row in rows if row["provider"] == each]) for each in BULK_ABORTS)


# ── databases ──


async def fill(connection: AsyncConnection, world: World) -> None:
    """Insert the rows of a world."""
    for name, model in TABLES.items():
        if rows := getattr(world, name):
            columns = {column.key for column in model.__table__.columns}
            await connection.execute(insert(model), [{k: v for k, v in row.items() if k in columns} for row in rows])


CLOCK = (
    "CREATE SCHEMA clock",
    *(
        f"CREATE FUNCTION clock.{name}() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT timestamptz '{NOW}' $$"
        for name in ("now", "clock_timestamp", "statement_timestamp", "transaction_timestamp")
    ),
)


@asynccontextmanager
async def database(postgres: str, template: str, world: World) -> AsyncGenerator[AsyncEngine]:
    """An engine on a database of its own that holds the world, and in which it is always now."""
    name = f"world_{uuid4().hex}"
    await execute(postgres, clone_of(template, name))
    # one connection, which plans each statement once: more would have to learn the same
    settings = {"search_path": "clock, pg_catalog, public", "plan_cache_mode": "force_generic_plan"}
    dsn = on_database(postgres, name)
    engine = db.create_engine(dsn, application="worlds", pool_size=1, pool_timeout=60, settings=settings)
    await share_statements(engine)
    try:
        async with engine.begin() as connection:
            for statement in CLOCK:
                await connection.execute(text(statement))
            await fill(connection, world)
            await connection.execute(text("ANALYZE"))
        yield engine
    finally:
        await engine.dispose()
        await execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)')


# ── a world with everything that rules tell apart ──


def everything() -> World:
    """Two providers, three modules, two years (one of them closed), two units; each combination failed, ran or is running."""
    pipelines: list[Row] = []
    jobs: list[Row] = []
    uploads: list[Row] = []
    row_errors: list[Row] = []
    number = 0

    def add(provider: str, outcome: int, **scope: Any) -> None:
        nonlocal number
        number += 10
        uploads.append(upload(number, provider))
        secret = f"duplicate key value violates unique constraint ({provider} {scope.get('unit_institutional_id')})"
        ends: Row = (
            failed(number, secret),
            {"meta": {"provider_name": "CsvProvider", "filters": {"unit": scope.get("unit_institutional_id")}}},
            {"result": "WARNING", "meta": {"row_errors_count": 2, "phases": [{"name": "read", "state": "finished"}]}},
            {"state": "RUNNING", "meta": {"progress": {"processed": 5, "total": 10}}},
        )[outcome]
        root = job(number, upload_id=uploads[-1]["id"], **ends)
        entry_type = ENTRY_TYPES.get(scope.get("module_type_id", 5), 99)
        recalc = job(number + 1, job_type=JobType.EMISSION_RECALC, data_entry_type_id=entry_type, ingestion_method="computed")
        last = failed(number + 2, secret) if outcome == 2 else {}
        rest = [recalc, job(number + 2, job_type=JobType.AGGREGATION, ingestion_method="computed", **last)]
        row, members = pipeline(number, [root, *(rest if outcome in (1, 2) else [])], provider=provider, **scope)
        pipelines.append(row)
        jobs.extend(members)
        if outcome == 2:
            row_errors.extend(
                {"id": number + n, "job_id": number, "row": n, "column": "unit", "reason": "unknown unit", "value": f"U{n}"}
                for n in range(2)
            )

    outcome = 0
    for provider in ("DEFAULT", "TEST"):
        for module in (*MODULES, 99):
            for of_year in (2025, 2026):
                for specific in (None, "A", "B"):
                    level = EntityType.MODULE_UNIT_SPECIFIC if specific else EntityType.MODULE_PER_YEAR
                    scope = {"module_type_id": module, "year": of_year, "unit_institutional_id": specific, "entity_type": level}
                    outcome += 1
                    if module == 5 or (of_year == 2025) == (specific == "A"):
                        add(provider, outcome % 4, **scope)
        # a unit-specific pipeline that names no unit, and a whole year
        add(provider, 0, entity_type=EntityType.MODULE_UNIT_SPECIFIC)
        add(provider, 1, entity_type=EntityType.GLOBAL_PER_YEAR, module_type_id=None, kind=JobType.UNIT_SYNC)
        for n in range(2):
            number += 10
            jobs.append(job(number, provider=provider, **(failed(number, f"orphan of {provider}") if n else {})))
        # a job that got into a pipeline of another provider
        jobs.append(job(number + 1, provider=provider, pipeline_id=pipelines[0]["id"], status_message=f"stray of {provider}"))
    units = tuple(unit(10 * m + n + 1, p, u) for m, p in enumerate(("DEFAULT", "TEST")) for n, u in enumerate("AB"))
    cells = [(row["id"], of_year, module) for row in units for of_year in (2025, 2026) for module in MODULES]
    return World(
        uploads=tuple(uploads),
        pipelines=tuple(pipelines),
        jobs=tuple(jobs),
        groups=(groups := groups_of(jobs)),
        acknowledgements=acknowledged(groups),
        row_errors=tuple(row_errors),
        pods=(pod("pod-1", seen=timedelta(seconds=3), sha="abc"), pod("pod-2", seen=timedelta(hours=1), sha="def")),
        years=tuple(year(n, provider, is_open=n == 2025) for provider in ("DEFAULT", "TEST") for n in (2025, 2026)),
        units=units,
        projects=tuple(project(row["id"]) for row in units),
        reports=tuple(report(row["id"], of_year) for row in units for of_year in (2025, 2026)),
        report_modules=tuple(report_module(*cell, kg=float(number)) for number, cell in enumerate(cells)),
        views=tuple(
            view(4 * m + n, provider, owner, is_shared=n % 2 == 0)
            for m, provider in enumerate(("DEFAULT", "TEST"))
            for n, owner in enumerate(("someone", "someone", "other", "other"))
        ),
        bulk_aborts=bulk_aborts(pipelines),
    )
