"""The list against a plain Python model of its rules: filter, order, pages in both directions and around, counts and facets."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.db import models
from gql_server.db.models import JobResult, JobState
from gql_server.ledger.signatures import sign_all
from gql_server.policy import Viewer
from gql_server.reads.facets import DIMENSIONS, facets
from gql_server.reads.jobs.filter import Match, Range
from gql_server.reads.pipelines import queries
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.pipelines.ids import ORDERINGS, counted
from tests import build
from tests.graphql import PAGING, viewer

START = datetime(2026, 3, 1, tzinfo=UTC)
FAR = datetime(2126, 3, 1, tzinfo=UTC)
"""Until then nothing is stuck that is locked by then."""
KINDS = {"csv_ingest": "CSV_INGEST", "unit_sync": "UNIT_SYNC", "aggregation": "AGGREGATION", "novel": "OTHER", None: "OTHER"}
MESSAGES = ("Success", "50% of RÉSUMÉ_a\\b", "deadlock detected", "100 of 100", "Job created", None)
LEVELS = ("MODULE_PER_YEAR", "MODULE_UNIT_SPECIFIC", "GLOBAL_PER_YEAR")
CLASSES = ("DEADLOCK", "ABORTED", None)
USERS = ("operator", "ada", None)
FAILURES = ("PARTIAL", "FAILED")
OPERATOR = viewer("operator")
FILES = tuple(UUID(int=number) for number in range(1, 5))


@dataclass(frozen=True)
class Item:
    """A pipeline of the list: its row, if it has one, and its jobs."""

    row: Mapping[str, Any] | None
    jobs: Sequence[Mapping[str, Any]]

    @property
    def orphan(self) -> Mapping[str, Any]:
        return self.jobs[0]

    @property
    def of(self) -> Mapping[str, Any]:
        """Columns that both sorts have."""
        return self.row or self.orphan

    @property
    def key(self) -> UUID:
        return self.row["id"] if self.row else self.orphan["time_key"]

    @property
    def failed(self) -> bool:
        if self.row:
            return self.row["status"] in FAILURES
        return (self.orphan["state"], self.orphan["result"]) == ("FINISHED", "ERROR")

    @property
    def creator(self) -> str | None:
        created_by = self.row["created_by"] if self.row else self.orphan["meta"].get("created_by")
        return (created_by or {}).get("user_id")


def status_matches(item: Item, match: Match) -> bool:
    if not item.row:
        return False
    known = ("NOT_STARTED", "RUNNING", "SUCCESS", *FAILURES)
    name = item.row["status"] if item.row["status"] in known else "UNKNOWN"
    return (name in match.names) is not match.negated


def tone(item: Item) -> str:
    """FAILED is red, PARTIAL amber, and so is what went well but for a warning; an orphan is what its job is."""
    if item.row:
        status, warned = item.row["status"], item.row["has_warning"]
    else:
        ended = item.orphan["state"] == "FINISHED"
        status, warned = item.orphan["state"], ended and item.orphan["result"] == "WARNING"
        status = ("FAILED" if item.failed else "SUCCESS") if ended else status
    if status == "SUCCESS":
        return "WARNING" if warned else "SUCCESS"
    return {"FAILED": "DANGER", "PARTIAL": "WARNING", "RUNNING": "PROGRESS"}.get(status, "NEUTRAL")


def is_stuck(item: Item) -> bool:
    return any(job["state"] == "RUNNING" and job["locked_at"] is None for job in item.jobs)


def is_in(value: Any, bounds: Range[Any]) -> bool:
    if value is None or (bounds.low is not None and value < bounds.low):
        return False
    return bounds.high is None or (value <= bounds.high if bounds.closed else value < bounds.high)


def seconds(item: Item) -> float | None:
    """Duration; none of one that never ran."""
    return None if item.of["started_at"] is None else item.of["duration_seconds"]


def resolved(item: Item, items: Sequence[Item]) -> bool:
    """A younger stored pipeline ended in SUCCESS, on its scope or on all entry types of it, for a file of a unit that FAILED
    with the same file; or with the bytes of which nothing landed, for the same unit or for all."""
    later = [other.row for other in items if other.row is not None and other.key > item.key]
    return any(row["status"] == "SUCCESS" and (covers(row, item) or is_read(row, item.row)) for row in later)


def scope(of: Mapping[str, Any]) -> tuple[Any, ...] | None:
    kind, unit = of["kind"] if "kind" in of else of["job_type"], of.get("unit_institutional_id")
    if kind is None or (of["entity_type"] == "MODULE_UNIT_SPECIFIC" and unit is None):
        return None
    return kind, unit, *(of[name] for name in ("provider", "entity_type", "module_type_id", "year"))


def covers(row: Mapping[str, Any], item: Item) -> bool:
    entry_type, other = item.of["data_entry_type_id"], row["data_entry_type_id"]
    has_one = item.of["module_type_id"] == 8 and {entry_type, other} == {50, None}
    reads = (item.row["kind"] if item.row else item.orphan["job_type"]) in ("csv_ingest", "api_ingest", "factor_ingest")
    includes = entry_type == other or (reads and (other is None or has_one))
    return scope(item.of) is not None and scope(item.of) == scope(row) and includes and makes_good(item.row, row)


def is_read(later: Mapping[str, Any], row: Mapping[str, Any] | None) -> bool:
    if row is None or row["file_key"] is None or row["status"] != "FAILED":
        return False
    return row["file_key"] == later["file_key"] and later["unit_institutional_id"] in (None, row["unit_institutional_id"])


def makes_good(row: Mapping[str, Any] | None, later: Mapping[str, Any]) -> bool:
    if row is None or row["file_digest"] is None or row["status"] == "PARTIAL":
        return True
    return row["file_digest"] == later["file_digest"] or row["file_name"] == later["file_name"]


JOB_RULES: Mapping[str, Callable[[Mapping[str, Any], Any], bool]] = {
    "kind": lambda job, match: match.negated or KINDS[job["job_type"]] in match.names,
    "years": lambda job, years: job["year"] in years,
    "module_type_ids": lambda job, modules: job["module_type_id"] in modules,
    "data_entry_type_ids": lambda job, types: job["data_entry_type_id"] in types,
    "started_at": lambda job, bounds: is_in(job["started_at"], bounds),
    "finished_at": lambda job, bounds: is_in(job["finished_at"], bounds),
    "failure_classes": lambda job, classes: job["failure_class"] in classes,
    "failure_fingerprint": lambda job, fingerprint: job["failure_fingerprint"] == fingerprint,
    "worker": lambda job, worker: job["claimed_by"] == worker,
    "search": lambda job, text: text.lower() in (job["status_message"] or "").lower(),
}
ITEM_RULES: Mapping[str, Callable[[Item, Any, Sequence[Item]], bool]] = {
    "ids": lambda item, ids, _: item.key in ids,
    "status": lambda item, match, _: status_matches(item, match),
    "kind": lambda item, match, _: not match.negated or all(KINDS[job["job_type"]] not in match.names for job in item.jobs),
    "levels": lambda item, levels, _: item.of["entity_type"] in levels,
    "created_at": lambda item, bounds, _: is_in(item.of["created_at"], bounds),
    "duration_seconds": lambda item, bounds, _: is_in(seconds(item), bounds),
    "has_errors": lambda item, wanted, _: item.failed is wanted,
    "is_orphan": lambda item, wanted, _: (item.row is None) is wanted,
    "is_active": lambda item, wanted, _: (
        (item.row["status"] in ("NOT_STARTED", "RUNNING") if item.row else item.orphan["state"] in models.LIVE_STATES) is wanted
    ),
    "is_aborted": lambda item, wanted, _: (
        (item.row["aborted_at"] is not None if item.row else item.orphan["meta"].get("aborted") is True) is wanted
    ),
    "tones": lambda item, tones, _: tone(item) in tones,
    "is_stuck": lambda item, wanted, _: is_stuck(item) is wanted,
    "unresolved": lambda item, wanted, items: (item.failed and not resolved(item, items)) is wanted,
    "triggered_by": lambda item, users, _: item.creator in users and item.creator is not None,
    "not_triggered_by": lambda item, user, _: item.creator != user,
}
VALUES: Mapping[str, Callable[[Item], Any]] = {
    "STARTED_AT": lambda item: item.of["started_at"],
    "FINISHED_AT": lambda item: item.of["finished_at"],
    "DURATION": seconds,
    "UPDATED_AT": lambda item: (
        item.row["updated_at"]
        if item.row
        else max(time for name in ("created_at", "started_at", "finished_at") if (time := item.orphan[name]))
    ),
    "ERROR_COUNT": lambda item: item.row["error_count"] if item.row else int(item.failed),
}


def asked(criteria: PipelineCriteria) -> dict[str, Any]:
    return {name: value for name in PipelineCriteria.__slots__ if (value := getattr(criteria, name)) is not None}


def matching_jobs(item: Item, criteria: PipelineCriteria) -> list[Mapping[str, Any]]:
    rules = [(JOB_RULES[name], value) for name, value in asked(criteria).items() if name in JOB_RULES]
    return [job for job in item.jobs if all(rule(job, value) for rule, value in rules)]


def matches(item: Item, criteria: PipelineCriteria, items: Sequence[Item]) -> bool:
    wanted = asked(criteria)
    holds = all(rule(item, wanted[name], items) for name, rule in ITEM_RULES.items() if name in wanted)
    of_jobs = [name for name in wanted if name in JOB_RULES and not (name == "kind" and wanted["kind"].negated)]
    return holds and (not of_jobs or bool(matching_jobs(item, criteria)))


def ordered(items: Sequence[Item], order: str | None, *, descending: bool) -> list[UUID]:
    """By value and key; what has no value comes last, whichever the direction."""
    if order is None:
        return sorted((item.key for item in items), reverse=descending)
    value = VALUES[order]
    known = [item for item in items if value(item) is not None]
    unknown = [item.key for item in items if value(item) is None]
    by_value = sorted(known, key=lambda item: (value(item), item.key), reverse=descending)
    return [*(item.key for item in by_value), *sorted(unknown, reverse=descending)]


class Ledger:
    """A random ledger, and criteria that fit it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    async def fill(self, connection: AsyncConnection, size: int) -> list[Item]:
        for index in range(size):
            await self._add(connection, START + timedelta(hours=index))
        rows: Sequence[Any] = (await connection.execute(select(models.Pipeline.__table__))).mappings().all()
        jobs: Sequence[Any] = (await connection.execute(select(models.Job.__table__).order_by(models.Job.id))).mappings().all()
        stored = [Item(row, [job for job in jobs if job["pipeline_id"] == row["id"]]) for row in rows]
        return [*stored, *(Item(None, [job]) for job in jobs if job["pipeline_id"] is None)]

    async def _add(self, connection: AsyncConnection, at: datetime) -> None:
        choice = self.random.choice
        of_all = {
            "module_type_id": choice((1, 4, 8)),
            "year": choice((2024, 2025)),
            "created_at": at,
            "entity_type": choice(LEVELS),
        }
        creator = {"user_id": user} if (user := choice(USERS)) else None
        if self.random.random() < 0.3:
            marks = {"created_by": creator} | ({"aborted": True} if self.random.random() < 0.2 else {})
            await build.job(connection, **self._job(at), **of_all, meta=marks)
            return
        of_unit = of_all["entity_type"] == "MODULE_UNIT_SPECIFIC"
        file = {name: choice(("a", "b", "c")) for name in ("file_name", "file_digest")} if of_unit else {}
        key = await build.pipeline(
            connection,
            **of_all,
            **file,
            data_entry_type_id=choice((50 if of_all["module_type_id"] == 8 else 10, None)),
            file_key=choice((*FILES, None, None)),
            kind=choice(("csv_ingest", "unit_sync")),
            created_by=creator,
            aborted_at=at if self.random.random() < 0.1 else None,
            unit_institutional_id=choice(("A", "B", None)),
        )
        jobs = self.random.randint(0, 3)
        for _ in range(jobs):
            await build.job(connection, key, **{**of_all, "year": choice((2024, 2025)), **self._job(at)})
        if jobs:
            await build.settle(connection, key)
        changed: dict[str, Any] = {"updated_at": at + timedelta(minutes=self.random.randint(0, 3))}
        if self.random.random() < 0.1:
            changed["status"] = "PAUSED"
        await connection.execute(update(models.Pipeline).where(models.Pipeline.id == key).values(changed))

    def _job(self, at: datetime) -> dict[str, Any]:
        choice = self.random.choice
        state = choice((JobState.FINISHED, JobState.FINISHED, JobState.FINISHED, JobState.RUNNING, JobState.NOT_STARTED))
        started = at + timedelta(minutes=self.random.randint(0, 2))
        return {
            "job_type": choice(tuple(KINDS)),
            "data_entry_type_id": choice((10, 50, None)),
            "state": state,
            "result": choice((*JobResult, None)) if state == JobState.FINISHED else None,
            "started_at": None if state == JobState.NOT_STARTED else started,
            "finished_at": started + timedelta(seconds=self.random.randint(0, 3)) if state == JobState.FINISHED else None,
            "status_message": choice(MESSAGES),
            "failure_class": choice(CLASSES),
            "failure_fingerprint": choice(("f1", None)),
            "claimed_by": choice(("w1", "w2", None)),
            "attempts": 1,
            "locked_at": choice((None, FAR)) if state == JobState.RUNNING else None,
        }

    def criteria(self, items: Sequence[Item]) -> PipelineCriteria:
        """One to three clauses."""
        clauses = self._clauses(items)
        return PipelineCriteria(
            **{name: clauses[name] for name in self.random.sample(sorted(clauses), self.random.randint(1, 3))}
        )

    def _clauses(self, items: Sequence[Item]) -> dict[str, Any]:
        draw = self.random
        statuses = ("NOT_STARTED", "RUNNING", "SUCCESS", "PARTIAL", "FAILED", "UNKNOWN")

        def some(values: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(draw.sample(values, draw.randint(0, len(values))))

        def period() -> Range[datetime]:
            low = START + timedelta(hours=draw.randint(-1, 30))
            return Range(*draw.choice(((low, None), (None, low), (low, low + timedelta(hours=9)), (None, None))))

        return {
            "ids": some([item.key for item in items]),
            "status": Match(some(statuses), negated=draw.random() < 0.5),
            "kind": Match(some(("CSV_INGEST", "UNIT_SYNC", "AGGREGATION", "ROLE_SYNC", "OTHER")), negated=draw.random() < 0.3),
            "module_type_ids": some((1, 4, 99)),
            "data_entry_type_ids": some((10, 11)),
            "years": some((2023, 2024, 2025)),
            "levels": some(LEVELS),
            "created_at": period(),
            "started_at": period(),
            "finished_at": period(),
            "duration_seconds": Range(draw.choice((None, 1.0)), draw.choice((None, 2.0)), closed=True),
            "has_errors": draw.random() < 0.5,
            "is_orphan": draw.random() < 0.5,
            "is_active": draw.random() < 0.5,
            "is_aborted": draw.random() < 0.5,
            "is_stuck": draw.random() < 0.5,
            "tones": some(("DANGER", "WARNING", "PROGRESS", "SUCCESS", "NEUTRAL")),
            "unresolved": draw.random() < 0.5,
            "failure_classes": some(("DEADLOCK", "ABORTED")),
            "failure_fingerprint": "f1",
            "triggered_by": some(("operator", "ada")),
            "not_triggered_by": "ada",
            "worker": draw.choice(("w1", "w3")),
            "search": draw.choice(("SUCC", "0% of résumé_A", "é_a\\", "100", "dead%", "___", "lock det")),
        }


@pytest.mark.parametrize(
    ("seed", "lists"), [(0, 6), (1, 6), *(pytest.param(seed, 15, marks=pytest.mark.exhaustive) for seed in range(6))]
)
async def test_the_list_obeys_its_rules(engine: AsyncEngine, seed: int, lists: int) -> None:
    ledger = Ledger(seed)
    async with engine.begin() as connection:
        await build.job(connection, provider="TEST", status_message="Success")
        items = [item for item in await ledger.fill(connection, 40) if item.of["provider"] == "DEFAULT"]
        if seed % 2:
            assert await sign_all(connection) > 0
    async with engine.connect() as connection:
        for _ in range(lists):
            criteria = ledger.criteria(items)
            found = [item for item in items if matches(item, criteria, items)]
            order, descending = ledger.random.choice((None, *VALUES)), ledger.random.random() < 0.5
            expected = ordered(found, order, descending=descending)
            read = Reader(connection, criteria, order, descending)

            size = ledger.random.choice((1, 3, 7, 100))
            assert await read.forwards(size) == expected, (criteria, order)
            assert await read.backwards(size) == expected, (criteria, order)
            for item in ledger.random.sample(items, 3):
                await assert_around(read, expected, item.key, size)
            assert await counted(connection, OPERATOR, [criteria], limit=5) == {criteria: min(len(found), 6)}
            assert await counted(connection, OPERATOR, [criteria], limit=None) == {criteria: len(found)}
            await assert_facets(connection, criteria, items)


@dataclass(frozen=True)
class Reader:
    """Reads pages of one list."""

    connection: AsyncConnection
    criteria: PipelineCriteria
    order: str | None
    descending: bool
    viewer: Viewer = OPERATOR

    def window(self, **arguments: Any) -> Any:
        by = ORDERINGS[self.order].order if self.order else None
        return PAGING.window("list", criteria=self.criteria, order=by, descending=self.descending, **arguments)

    async def page(self, **arguments: Any) -> Any:
        return await queries.page(self.connection, self.viewer, criteria=self.criteria, window=self.window(**arguments))

    async def forwards(self, size: int) -> list[UUID]:
        page = await self.page(first=size)
        keys = [row.key for row in page.nodes]
        while page.has_next_page:
            page = await self.page(first=size, after=page.end_cursor)
            assert page.nodes
            keys += [row.key for row in page.nodes]
        return keys

    async def backwards(self, size: int) -> list[UUID]:
        page = await self.page(last=size)
        keys = [row.key for row in page.nodes]
        while page.has_previous_page:
            page = await self.page(last=size, before=page.start_cursor)
            assert page.nodes
            keys = [*(row.key for row in page.nodes), *keys]
        return keys


async def assert_around(read: Reader, expected: list[UUID], key: UUID, size: int) -> None:
    """The page holds the pipeline, lies in one piece of the list, and is as full as the list allows."""
    window = read.window(first=size)
    page = await queries.page(read.connection, OPERATOR, criteria=read.criteria, window=window, around=key)
    keys = [row.key for row in page.nodes]
    start = expected.index(keys[0]) if keys else 0
    assert keys == expected[start : start + min(size, len(expected))]
    assert (page.has_previous_page, page.has_next_page) == (start > 0, start + len(keys) < len(expected))
    if key not in expected:
        assert start == 0
        return
    place = expected.index(key)
    assert start == max(0, min(place - (size - 1) // 2, len(expected) - size))


async def assert_facets(connection: AsyncConnection, criteria: PipelineCriteria, items: Sequence[Item]) -> None:
    found = (await facets(connection, OPERATOR, [criteria], names=tuple(DIMENSIONS), limit=None))[criteria]
    for name, dimension in DIMENSIONS.items():
        base = replace(criteria, **dict.fromkeys(dimension.clauses))
        expected: Counter[str] = Counter()
        for item in items:
            if matches(item, base, items):
                expected.update(_facet_values(name, item, base, items))
        assert Counter({value.value: value.count for value in found[name]}) == expected, (name, criteria)


def _facet_values(name: str, item: Item, base: PipelineCriteria, items: Sequence[Item]) -> set[str]:
    if name == "TONE":
        return {tone(item)}
    if name == "ALERT":
        return _alerts(item, items)
    if name == "STATUS":
        known = ("NOT_STARTED", "RUNNING", "SUCCESS", *FAILURES)
        return {item.row["status"] if item.row["status"] in known else "UNKNOWN"} if item.row else set()
    if name == "SCOPE":
        return {item.of["entity_type"]}
    if name == "TRIGGERED_BY":
        return {item.creator} if item.creator else set()
    jobs = matching_jobs(item, base)
    if name == "KIND":
        return {KINDS[job["job_type"]] for job in jobs}
    column = {"MODULE": "module_type_id", "YEAR": "year", "FAILURE_CLASS": "failure_class"}[name]
    return {str(job[column]) for job in jobs if job[column] is not None}


def _alerts(item: Item, items: Sequence[Item]) -> set[str]:
    shown = {
        "FAILED": item.row and item.row["status"] == "FAILED",
        "PARTIAL": item.row and item.row["status"] == "PARTIAL",
        "ORPHAN_FAILED": not item.row and item.failed,
        "WARNING": tone(item) == "WARNING" and not item.failed,
        "RUNNING": tone(item) == "PROGRESS",
        "STUCK": is_stuck(item),
        "UNRESOLVED": item.failed and not resolved(item, items),
    }
    return {name for name, holds in shown.items() if holds}
