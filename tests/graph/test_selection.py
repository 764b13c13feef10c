"""A field is read from the columns that it says it is made of, and from no others."""

from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type, is_leaf_type
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, JobResult, JobState
from gql_server.graph.nodes import encode
from gql_server.graph.selection import ROWS
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import SCHEMA, Client

MOVING = {"durationSeconds", "feedToken", "rowsPerSecond", "heartbeatAgeSeconds"}
TYPES: Any = SCHEMA.executable.type_map


def selections(type_: GraphQLObjectType) -> list[str]:
    """Each field of the type that needs no argument, with all leaves of what it leads to."""
    return [text for name, field in type_.fields.items() if (text := selection(name, field, 2)) and name not in MOVING]


def selection(name: str, field: Any, depth: int) -> str | None:
    below = get_named_type(field.type)
    if any(argument.type.__class__.__name__ == "GraphQLNonNull" for argument in field.args.values()):
        return None
    if is_leaf_type(below):
        return name
    if depth == 0 or not isinstance(below, GraphQLObjectType) or below.name in ROWS:
        return f"{name} {{ __typename }}" if depth else None
    parts = [selection(part, each, depth - 1) for part, each in below.fields.items() if part not in MOVING]
    inner = " ".join(part for part in parts if part)
    return f"{name} {{ {inner} }}" if inner else None


async def ids_of_each_type(engine: AsyncEngine) -> dict[str, list[str]]:
    async with engine.begin() as connection:
        await build.worker(connection, "w1")
        author = {"user_id": "a", "name": "A", "email": "a@b.c"}
        unit = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC, "unit_institutional_id": "10208"}
        failed = await build.pipeline(connection, created_by=author, **unit)
        running = await build.run(connection, JobResult.SUCCESS, JobState.RUNNING)
        root = await build.job(connection, failed, result=JobResult.ERROR, entity_type=EntityType.MODULE_UNIT_SPECIFIC)
        await build.settle(connection, failed)
        live = await build.job(
            connection, running, state=JobState.RUNNING, claimed_by="w1", meta={"progress": {"processed": 3}}
        )
        orphan = await build.job(connection, result=JobResult.WARNING, meta={"created_by": {"user_id": "b", "email": "b@c.d"}})
        await build.year(connection, 2025)
    keys = await Client(engine).query("{ pipelines { nodes { id } } }")
    return {
        "Pipeline": [node["id"] for node in keys["pipelines"]["nodes"]],
        "Job": [encode("Job", each) for each in (root, live, orphan)],
        "Worker": [encode("Worker", "w1")],
        "YearConfiguration": [encode("YearConfiguration", "DEFAULT:2025")],
    }


@pytest.mark.parametrize("role", ["superadmin", "operator", "principal"])
async def test_each_field_alone_says_what_it_says_among_all_others(engine: AsyncEngine, role: str):
    ids = await ids_of_each_type(engine)
    client = Client(engine, role, unit="10208" if role == "principal" else None)

    for name, of_type in ids.items():
        query = "query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {} {{ {} }} }} }}"
        fields = selections(TYPES[name])
        together = await client.query(query.format(name, " ".join(fields)), ids=of_type)
        for text in fields:
            alone = await client.query(query.format(name, text), ids=of_type)
            field = text.partition(" ")[0]
            assert [node and node.get(field) for node in alone["nodes"]] == [
                node and node.get(field) for node in together["nodes"]
            ], text


async def test_a_statement_reads_what_is_selected_and_nothing_else(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS)

    with statements(engine) as executed:
        await Client(engine).query("{ pipelines { nodes { id status isTerminal jobCount } } }")

    [statement] = executed
    assert statement.count(" AS _status") == 2
    for unasked in ("LATERAL", "EXISTS", "pg_control_system", "created_by", "last_error", "unit_institutional_id", "now()"):
        assert unasked not in statement


async def test_what_is_skipped_or_not_included_is_not_read(engine: AsyncEngine):
    query = "query ($is: Boolean!) { pipelines { nodes { id message @include(if: $is) feedToken @skip(if: $is) } } }"
    client, read = Client(engine), {}
    for wanted in (True, False):
        with statements(engine) as executed:
            await client.query(query, **{"is": wanted})
        read[wanted] = [name for name in ("status_message", "pg_control_system") if name in executed[0]]

    assert read == {True: ["status_message"], False: ["pg_control_system"]}


async def test_fields_are_found_through_edges_fragments_and_embedded_objects(engine: AsyncEngine):
    query = """
      query { pipelines { edges { ...E } nodes { ... on Node { id } ... on Pipeline { scope { ...S } } } } }
      fragment E on PipelineEdge { node { jobCount } }
      fragment S on WorkScope { year }
    """
    with statements(engine) as executed:
        await Client(engine).query(query)

    assert all(f"AS {name}" in executed[0] for name in ("key", "job_count", "year"))
    assert all(f"AS {name}" not in executed[0] for name in ("error_count", "module_type_id", "message"))


async def test_each_child_is_read_as_far_as_it_is_selected(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS)
    with statements(engine) as executed:
        await Client(engine).query("{ pipelines { nodes { id rootJob { state } jobs { nodes { jobId isStuck } } } } }")

    of_root, of_jobs = (next(each for each in executed if name in each) for name in (" AS _state", " AS is_stuck"))
    assert " AS is_stuck" not in of_root
    assert " AS _state" not in of_jobs
    assert len(executed) == 3
