"""Hidden things change nothing: not one byte of any answer, through any door."""

import json
from base64 import b64encode
from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    get_named_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
)

from gql_server.db.models import EntityType, JobType
from gql_server.policy import Viewer
from tests.graphql import SCHEMA
from tests.policy.asking import OF_A_DATABASE, Asker, crawled, differences, documents, walk
from tests.policy.walk import Walk
from tests.policy.worlds import (
    BULK_ABORTS,
    ENTRY_TYPES,
    PERSONAS,
    Row,
    World,
    acknowledged,
    at,
    bulk_aborts,
    database,
    everything,
    failed,
    groups_of,
    job,
    key,
    known_to,
    pipeline,
    upload,
)

NUMBERS = range(10, 130, 10)
TOLD_BY_COMMANDS = {"PipelineCapabilities.retry"}
"""Fields that tell those who may start work again what the attempt tells, too: whether its unit and year exist and take it."""
CURSORS, SIZES = {"after", "before"}, {"first", "last"}
ROUNDS = 4
FILES = [UUID(int=number) for number in (1, 2)]
WORDS = ("A", "B", "C", "12 inserted", "duplicate key", "secret of", "failed unexpectedly", "unit", "pod-1", "%%%", "[")


def global_id(name: str, local: object) -> str:
    return b64encode(f"{name}:{local}".encode()).decode()


IDS = (
    *(global_id("Pipeline", key(number)) for number in NUMBERS),
    *(global_id("Job", number) for number in NUMBERS),
    *(global_id("YearConfiguration", f"{p}:{n}") for p in ("DEFAULT", "TEST") for n in (2025, 2026)),
    *(global_id("Unit", name) for name in "ABC"),
    *(global_id("Worker", name) for name in ("pod-1", "pod-2")),
)
LITERALS: dict[str, Sequence[Any]] = {
    "ID": IDS,
    "UUID": [str(each) for each in (*map(key, NUMBERS), *BULK_ABORTS.values())],
    "Int": [1, 2, 3, 4, 5, 8, 10, 20, 60, 2025, 2026],
    "Float": [0.0, 35.0, 60.0, 1e6],
    "String": WORDS,
    "Boolean": [True, False],
    "DateTime": [at(number).isoformat() for number in (0, 30, 90)],
    "SchemaCoordinate": ["Job.errorDetail", "Nothing"],
    "JSON": ["{}"],
}


# ── worlds ──


def any_run(random: Random, number: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Pipelines, jobs and uploads: a run of one to three jobs, or an orphan, whose texts tell whose they are."""
    provider = random.choice(["DEFAULT", "DEFAULT", "TEST"])
    unit = random.choice([None, "A", "A", "B"])
    module = random.choice([4, 5, 5, 99])
    secret = f"secret of {provider} {unit} {module}"
    begun: list[Row] = [{}, {"state": "RUNNING"}, failed(number, secret), {"result": "WARNING"}]
    ends: list[Row] = [*begun, {"state": "NOT_STARTED"}]
    scope = {"provider": provider, "module_type_id": module, "year": random.choice([2025, 2025, 2026])}
    file = upload(number, provider)
    target: Row = (
        {"job_type": JobType.FACTOR_INGEST, "target_type": "FACTORS"} if unit is None and random.random() < 0.5 else {}
    )
    root = job(number, upload_id=file["id"], **target, **random.choice(ends))
    if random.random() < 0.1:
        return [], [root | scope], [file]
    entry_type = ENTRY_TYPES.get(module)
    listed: Row = {"job_type": JobType.MODULE_EMISSION_RECALC, "config": {"data_entry_type_ids": [entry_type]}}
    single: Row = {"job_type": JobType.EMISSION_RECALC, "data_entry_type_id": entry_type}
    rest = [job(number + 1, **random.choice([single, listed]), **random.choice(begun))]
    rest += [job(number + 2, job_type=JobType.AGGREGATION, **random.choice(begun))] if random.random() < 0.5 else []
    level = EntityType.MODULE_UNIT_SPECIFIC if unit else EntityType.MODULE_PER_YEAR
    jobs = [root, *(rest if root["state"] == "FINISHED" else [])]
    bytes_read = random.choice([None, *FILES])
    row, members = pipeline(number, jobs, unit_institutional_id=unit, entity_type=level, file_key=bytes_read, **scope)
    return [row], members, [file]


def any_world(random: Random) -> World:
    drawn = [any_run(random, number) for number in NUMBERS]
    whole = everything()
    return World(
        uploads=tuple(row for _, _, files in drawn for row in files),
        pipelines=tuple(row for rows, _, _ in drawn for row in rows),
        jobs=tuple(row for _, jobs, _ in drawn for row in jobs),
        groups=(groups := groups_of(row for _, jobs, _ in drawn for row in jobs)),
        acknowledgements=acknowledged(groups),
        pods=whole.pods,
        years=tuple(row for row in whole.years if random.random() < 0.7),
        units=whole.units,
        projects=whole.projects,
        reports=whole.reports,
        report_modules=tuple(row for row in whole.report_modules if random.random() < 0.7),
        bulk_aborts=bulk_aborts(row for rows, _, _ in drawn for row in rows),
    )


# ── operations ──


def literal(random: Random, type_: GraphQLInputType, depth: int = 0) -> str:
    """Any value of an input type, as a document writes it."""
    if is_non_null_type(type_):
        return literal(random, type_.of_type, depth)
    if is_list_type(type_):
        return f"[{', '.join(literal(random, type_.of_type, depth) for _ in range(random.randint(1, 2)))}]"
    if isinstance(type_, GraphQLEnumType):
        return random.choice(list(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        fields = {name: literal(random, field.type, depth + 1) for name, field in type_.fields.items()}
        needed = [name for name, field in type_.fields.items() if is_non_null_type(field.type)]
        chosen = random.sample(list(fields), 1 if type_.is_one_of else random.randint(0, min(2, len(fields))))
        return f"{{{', '.join(f'{name}: {fields[name]}' for name in sorted({*chosen, *needed}))}}}"
    return json.dumps(random.choice(LITERALS[get_named_type(type_).name]))


def any_walk(random: Random) -> Walk:
    """A walk that gives any arguments it likes."""

    def argue(coordinate: str, argument: GraphQLArgument) -> str | None:
        name = coordinate.rpartition("(")[2].removesuffix(":)")
        if name in CURSORS or not (is_required_argument(argument) or random.random() < 0.5):
            return None
        return str(random.randint(1, 5)) if name in SIZES else literal(random, argument.type)

    return Walk(SCHEMA.executable, argue, OF_A_DATABASE | TOLD_BY_COMMANDS)


async def board_difference(postgres: str, template: str, viewer: Viewer, random: Random) -> str | None:
    """Paths at which the boards of all years differ with and without what the viewer may not know."""
    world = any_world(random)
    async with database(postgres, template, world) as whole, database(postgres, template, known_to(viewer, world)) as known:
        asked, told = Asker(whole, viewer), Asker(known, viewer)
        for year in (2025, 2026):
            query = next(query for name, query in walk().root_fields() if name == "freshness").replace("2025", str(year))
            found, wanted = await asked.ask(query), await told.ask(query)
            if where := next(differences(found, wanted), None):
                return f"{where} in the board of {year}"
    return None


async def first_difference(postgres: str, template: str, viewer: Viewer, random: Random) -> str | None:
    """An operation that is answered differently with and without what the viewer may not know."""
    world = any_world(random)
    async with database(postgres, template, world) as whole, database(postgres, template, known_to(viewer, world)) as known:
        mine, theirs = await crawled(whole, "DEFAULT"), await crawled(whole, "TEST")
        ids = {name: mine.get(name, set()) | theirs.get(name, set()) for name in mine | theirs}
        asked, told = Asker(whole, viewer), Asker(known, viewer)
        roots = [(query, {}) for _ in range(ROUNDS) for _, query in any_walk(random).root_fields()]
        for query, variables in [*roots, *documents(any_walk(random), ids)]:
            found, wanted = await asked.text(query, **variables), await told.text(query, **variables)
            if found != wanted:
                where = [*differences(json.loads(found), json.loads(wanted)), "only in its bytes"]
                return f"{where[0]} in the answer to {query} {json.dumps(variables)}"
    return None


@pytest.mark.parametrize(
    ("persona", "seed"),
    [
        ("principal of A", 1),
        ("may sync purchases everywhere", 2),
        ("operator", 3),
        *(
            pytest.param(persona, seed, marks=pytest.mark.exhaustive)
            for persona, seed in [
                ("principal of A for purchases", 4),
                ("principal of B", 5),
                ("operator of TEST", 6),
                ("principal of A in TEST", 7),
                ("standard", 8),
                ("nobody", 9),
                ("principal of A", 10),
            ]
        ),
    ],
)
async def test_what_a_viewer_may_not_see_changes_no_answer(postgres: str, template: str, persona: str, seed: int):
    assert await first_difference(postgres, template, PERSONAS[persona], Random(seed)) is None


WITH_UNITS = ("principal of A", "principal of A for purchases", "may sync purchases everywhere", "principal of A in TEST")


@pytest.mark.parametrize("persona", WITH_UNITS)
@pytest.mark.parametrize("seed", range(3))
async def test_what_a_viewer_may_not_see_changes_nothing_of_the_board(postgres: str, template: str, persona: str, seed: int):
    assert await board_difference(postgres, template, PERSONAS[persona], Random(seed)) is None
