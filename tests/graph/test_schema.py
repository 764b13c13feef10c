import json
from pathlib import Path
from typing import Any

from graphql import GraphQLObjectType, build_schema
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.errors import ErrorCode
from gql_server.graph.nodes import encode
from gql_server.graph.schema import NODES, sdl
from gql_server.http.refusals import STATUS
from tests import build
from tests.graphql import SCHEMA, Client

ROOT = Path(__file__).parents[2]
TYPES: dict[str, Any] = {name: type_ for name, type_ in SCHEMA.executable.type_map.items() if not name.startswith("__")}
STORED_ENUMS = ("PipelineStatus", "JobState", "JobResult", "JobKind", "ScopeLevel", "IngestionMethod", "TargetType", "Provider")


def test_the_printed_schema_is_valid():
    built = build_schema(sdl())

    assert set(built.type_map) == set(SCHEMA.executable.type_map)


def test_every_code_is_a_member_of_the_enum_and_has_a_status():
    codes = [code.value for code in ErrorCode]

    assert [*TYPES["ErrorCode"].values] == codes
    assert {*STATUS} == {*ErrorCode}


def test_every_enum_over_stored_text_has_a_member_for_what_is_not_known():
    for name in STORED_ENUMS:
        assert {"UNKNOWN", "OTHER"} & set(TYPES[name].values)


def test_scalars_of_ours_name_their_specification():
    assert {name for name in ("DateTime", "UUID", "JSON", "SchemaCoordinate") if not TYPES[name].specified_by_url} == set()


def test_every_node_type_can_be_refetched():
    assert {type_.name for type_ in SCHEMA.executable.get_possible_types(TYPES["Node"])} == set(NODES)


async def test_modules_entry_types_and_units_are_nodes(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.unit(connection, "10208")
    query = """query ($id: ID!) { node(id: $id) {
      id __typename
      ... on ModuleType { typeId key } ... on DataEntryType { typeId entry: key } ... on Unit { institutionalId }
    } }"""
    module, entry_type, unit = encode("ModuleType", 5), encode("DataEntryType", 60), encode("Unit", "10208")
    client = Client(engine, "principal", unit="10208")

    assert (await client.query(query, id=module))["node"] == {
        "id": module,
        "__typename": "ModuleType",
        "typeId": 5,
        "key": "purchase",
    }
    assert (await client.query(query, id=entry_type))["node"] == {
        "id": entry_type,
        "__typename": "DataEntryType",
        "typeId": 60,
        "entry": "scientific_equipment",
    }
    assert (await client.query(query, id=unit))["node"] == {"id": unit, "__typename": "Unit", "institutionalId": "10208"}
    for id in (encode("ModuleType", 99), encode("DataEntryType", 99), encode("Unit", "20000"), encode("Nothing", 1)):
        assert (await client.query(query, id=id))["node"] is None
    assert (await Client(engine, "operator").query(query, id=unit))["node"]["institutionalId"] == "10208"
    for other in (Client(engine, "standard"), Client(engine, "operator", provider="TEST")):
        assert (await other.query(query, id=unit))["node"] is None


def test_a_client_s_cache_knows_of_each_type_by_what_it_is_kept_a_global_id_a_key_or_what_it_was_read_with():
    decided = json.loads((ROOT / "frontend" / "client" / "keys.json").read_text("utf-8"))
    objects = {name for name, type_ in TYPES.items() if isinstance(type_, GraphQLObjectType)} - {
        "Query",
        "Mutation",
        "Subscription",
    }
    nodes = {type_.name for type_ in SCHEMA.executable.get_possible_types(TYPES["Node"])}
    keyed, embedded = set(decided["keys"]), set(decided["embedded"])
    by_name = {name for name in objects if name.endswith(tuple(decided["embeddedSuffixes"]))}

    assert nodes | keyed | embedded | by_name == objects
    assert len(nodes) + len(keyed) + len(embedded) + len(by_name) == len(objects)
    assert {name for name in objects - nodes if "id" in TYPES[name].fields} <= keyed
    assert {
        (name, field) for name, fields in decided["keys"].items() for field in fields if field not in TYPES[name].fields
    } == set()
