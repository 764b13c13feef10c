"""Ours beside ours: a page far down, a principal, two processes, and clients who ask everything while 200 others follow."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from itertools import cycle
from typing import Any, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.rivals.asking import FIRST, WALK, Asking
from bench.rivals.load import Rate, Target, load, once
from bench.rivals.operations import CONSOLE, FACETS, OF_UNIT, VIEWER, WIDE
from bench.sockets import sockets
from gql_server.ledger.wakeup import wake_feed

PAGE, NEAR = 1_000, 2_001
FOLLOWERS = 200
CHANGES_A_SECOND = 20
_UNIT = text("""
SELECT unit_institutional_id FROM pipelines WHERE provider = 'ACCRED' AND unit_institutional_id IS NOT NULL
GROUP BY 1 ORDER BY count(*) DESC LIMIT 1
""")

# The oldest pipelines of all, so that no page that is asked for shows them.
_IS_FOLLOWED = "BETWEEN '00000000-0000-7000-8000-000000000000' AND '00000000-0000-7000-8000-ffffffffffff'"
_FOLLOWED = text("""
WITH made AS (
  INSERT INTO pipelines (id, provider, kind, status, entity_type, ingestion_method, module_type_id, year, job_count, started_at)
  SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'ACCRED', 'csv_ingest', 'RUNNING', 'MODULE_PER_YEAR',
    'csv', 4, 2025, 1, now()
  FROM generate_series(1, :count) AS n RETURNING id
)
INSERT INTO data_ingestion_jobs (pipeline_id, job_type, entity_type, ingestion_method, target_type, provider, module_type_id,
  year, state, status_message, attempts, started_at)
SELECT id, 'csv_ingest', 'MODULE_PER_YEAR', 'csv', 'DATA_ENTRIES', 'ACCRED', 4, 2025, 'RUNNING', 'Started', 1, now() FROM made
RETURNING pipeline_id
""")
_FORGET = (
    text(f"DELETE FROM data_ingestion_jobs WHERE pipeline_id {_IS_FOLLOWED}"),
    text(f"DELETE FROM pipelines WHERE id {_IS_FOLLOWED}"),
)
_CHANGE = text("UPDATE data_ingestion_jobs SET status_message = :message WHERE pipeline_id = :id")


class Beside(NamedTuple):
    """A row of the second table: the rate of `ours` in those of the `other`, and the least that it should be."""

    title: str
    aim: float | None
    ours: Sequence[Target]
    other: Sequence[Target]
    rows: float = 1.0
    """Rows in an answer of ours, for each of the other's."""
    during: Callable[[], AbstractAsyncContextManager[None]] = nullcontext


@asynccontextmanager
async def beside(
    engine: AsyncEngine, asking: Asking, principal: Callable[[str], Asking], second: int
) -> AsyncGenerator[dict[str, Beside]]:
    """The rows; `second` is the port of a second process of ours."""
    page = asking.ours(CONSOLE, {"first": FIRST})
    far = asking.ours(CONSOLE, {"first": FIRST, "after": await asking.cursor((PAGE - 1) * FIRST)})
    near = await _alike(asking, far)
    async with engine.connect() as connection:
        unit = str(await connection.scalar(_UNIT))
    of_unit = {"first": FIRST, "filter": {"unitInstitutionalId": unit}}
    theirs, same = principal(unit).ours(OF_UNIT, of_unit), asking.ours(OF_UNIT, of_unit)
    everything = [page, asking.ours(WIDE, {"first": FIRST}), asking.ours(FACETS), asking.ours(VIEWER)]
    async with _followed(engine, asking) as changing:
        yield {
            "page": Beside(f"page {PAGE:,}, in one near the newest", 1 / 1.2, [far], [near], await _rows(far, near)),
            "principal": Beside(
                "a principal's page, in a superadmin's of that unit", 1 / 1.15, [theirs], [same], await _rows(theirs, same)
            ),
            "processes": Beside("two processes, in one", None, [page, page._replace(port=second)], [page]),
            "mixed": Beside(
                f"all operations while {FOLLOWERS} follow {CHANGES_A_SECOND} changes a second, in those alone",
                None,
                everything,
                everything,
                during=changing,
            ),
        }


async def measured(rows: Mapping[str, Beside], rounds: int, seconds: float) -> dict[str, tuple[list[Rate], list[Rate]]]:
    """The rates of both sides of each row, in turn."""
    rates: dict[str, tuple[list[Rate], list[Rate]]] = {name: ([], []) for name in rows}
    for _ in range(rounds):
        for name, row in rows.items():
            async with row.during():
                rates[name][0].append(await load(seconds, *row.ours))
            rates[name][1].append(await load(seconds, *row.other))
    return rates


async def _alike(asking: Asking, far: Target) -> Target:
    """Of some pages near the newest the one of about as many objects: a page costs something whatever it shows."""
    wanted = _counted(orjson.loads(await once(far)))
    near = [asking.ours(CONSOLE, {"first": FIRST, "after": await asking.cursor(depth)}) for depth in range(WALK, NEAR, WALK)]
    differences = [abs(_counted(orjson.loads(await once(each))) - wanted) for each in near]
    return near[differences.index(min(differences))]


async def _rows(ours: Target, other: Target) -> float:
    """Rows in an answer of ours, for each of the other's."""
    counts = [_counted(orjson.loads(await once(each))) for each in (ours, other)]
    return counts[0] / counts[1]


def _counted(answer: Any) -> int:
    """Objects of the answer, however deep."""
    inner = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ()
    return isinstance(answer, dict) + sum(map(_counted, inner))


@asynccontextmanager
async def _followed(engine: AsyncEngine, asking: Asking) -> AsyncGenerator[Callable[[], AbstractAsyncContextManager[None]]]:
    """Makes pipelines that run, each with a follower; gives what changes them meanwhile. They are forgotten at the end."""
    await _forget(engine)
    async with engine.begin() as connection:
        keys = list(await connection.scalars(_FOLLOWED, {"count": FOLLOWERS}))
    try:
        url = f"ws://127.0.0.1:{asking.ports['ours']}/graphql"
        async with sockets(url, asking.followers, keys):
            yield lambda: _changing(engine, keys)
    finally:
        await _forget(engine)


@asynccontextmanager
async def _changing(engine: AsyncEngine, keys: Sequence[Any]) -> AsyncGenerator[None]:
    writing = asyncio.create_task(_write(engine, keys))
    try:
        yield
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def _write(engine: AsyncEngine, keys: Sequence[Any]) -> None:
    for number, key in enumerate(cycle(keys)):
        async with engine.begin() as connection:
            await connection.execute(_CHANGE, {"message": f"#{number}", "id": key})
        await wake_feed(engine)
        await asyncio.sleep(1 / CHANGES_A_SECOND)


async def _forget(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for statement in _FORGET:
            await connection.execute(statement)
