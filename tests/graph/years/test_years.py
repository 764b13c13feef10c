from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, JobResult, JobState, Provider
from gql_server.errors import BadInput
from gql_server.graph.nodes import encode
from gql_server.graph.years.types import parse_pointer
from tests import build
from tests.graphql import Client

CONFIG = {"modules": {"1": {"enabled": True}}, "goals": [{"pct": 0.2}], "a/b": 1}


async def _years(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await build.year(connection, 2024, is_started=True, config=CONFIG)
        await build.year(connection, 2026, configuration_completed=None)
        await build.year(connection, 2025, is_started=True)
        await build.year(connection, 2025, is_started=True, provider=Provider.TEST)


@pytest.mark.parametrize(
    ("role", "claims", "expected"),
    [
        ("superadmin", {}, [2026, 2025, 2024]),
        ("operator", {}, [2026, 2025, 2024]),
        ("standard", {}, [2025, 2024]),
        ("principal", {"unit": "A"}, [2025, 2024]),
        ("operator", {"provider": "TEST"}, [2025]),
        ("operator", {"provider": "ACCRED"}, []),
    ],
)
async def test_y5_years_are_listed_newest_first_to_users_the_open_ones_to_operators_all(
    engine: AsyncEngine, role: str, claims: dict[str, Any], expected: list[int]
):
    await _years(engine)

    years = (await Client(engine, role, **claims).query("{ yearConfigurations { year } }"))["yearConfigurations"]

    assert [year["year"] for year in years] == expected


async def test_y5_a_year_by_its_name_and_by_its_id_and_an_unknown_one_is_null(engine: AsyncEngine):
    await _years(engine)
    id = encode("YearConfiguration", "DEFAULT:2026")

    found = await Client(engine).query(
        """query ($id: ID!) {
          yearConfiguration(by: { year: 2026 }) { id year provider isStarted isProvisioned provisionedAt }
          node(id: $id) { __typename id ... on YearConfiguration { year } }
          missing: yearConfiguration(by: { year: 1999 }) { id }
          foreign: yearConfiguration(by: { year: 2025, provider: TEST }) { id }
        }""",
        id=id,
    )

    assert found == {
        "yearConfiguration": {
            "id": id,
            "year": 2026,
            "provider": "DEFAULT",
            "isStarted": False,
            "isProvisioned": False,
            "provisionedAt": None,
        },
        "node": {"__typename": "YearConfiguration", "id": id, "year": 2026},
        "missing": None,
        "foreign": None,
    }


async def test_y5_a_standard_user_reads_no_settings_and_no_closed_year(engine: AsyncEngine):
    await _years(engine)

    answer = await Client(engine, "standard").execute(
        "{ yearConfigurations { year config } closed: yearConfiguration(by: { year: 2026 }) { year } }"
    )

    assert answer["data"] == {
        "yearConfigurations": [{"year": 2025, "config": None}, {"year": 2024, "config": None}],
        "closed": None,
    }
    assert answer["extensions"]["redactions"] == [
        {"coordinate": "YearConfiguration.config", "permission": "backoffice.configuration:view", "count": 2}
    ]


async def test_settings_are_shipped_whole_or_in_parts(engine: AsyncEngine):
    await _years(engine)

    found = await Client(engine, "operator").query(
        """{
          yearConfiguration(by: { year: 2024 }) {
            whole: config
            parts: config(paths: ["/modules/1/enabled", "/goals/0/pct", "/a~1b", "/nothing", ""])
            none: config(paths: [])
          }
        }"""
    )

    assert found["yearConfiguration"] == {
        "whole": CONFIG,
        "parts": {"/modules/1/enabled": True, "/goals/0/pct": 0.2, "/a~1b": 1, "/nothing": None, "": CONFIG},
        "none": {},
    }


async def test_a_path_that_is_no_pointer_is_refused(engine: AsyncEngine):
    await _years(engine)

    codes = await Client(engine).codes('{ yearConfiguration(by: { year: 2024 }) { config(paths: ["modules"]) } }')

    assert codes == ["BAD_USER_INPUT"]


def test_pointers_are_unescaped():
    assert parse_pointer("") == ()
    assert parse_pointer("/a~1b/m~0n/~01/0") == ("a/b", "m~n", "~1", "0")
    with pytest.raises(BadInput):
        parse_pointer("a")


async def test_active_pipelines_are_those_of_the_year_newest_first(engine: AsyncEngine):
    async with engine.begin() as connection:
        for number in (2024, 2025, 2026):
            await build.year(connection, number)
        await build.run(connection, JobState.RUNNING, year=2024, kind="a")
        await build.run(connection, JobResult.SUCCESS, year=2024, kind="done")
        await build.job(connection, year=2024, job_type="b")
        await build.run(connection, JobState.NOT_STARTED, year=2024, kind="c")
        await build.run(connection, JobState.RUNNING, year=2025, kind="d")
    query = """query ($first: Int, $after: String) { yearConfigurations { year activePipelines(first: $first, after: $after) {
      nodes { kindRaw } pageInfo { hasNextPage endCursor }
    } } }"""
    client = Client(engine)

    years = (await client.query(query, first=2))["yearConfigurations"]
    after = years[2]["activePipelines"]["pageInfo"]["endCursor"]
    rest = (await client.query(query, first=2, after=after))["yearConfigurations"][2]

    kinds = {year["year"]: [node["kindRaw"] for node in year["activePipelines"]["nodes"]] for year in years}
    assert kinds == {2026: [], 2025: ["d"], 2024: ["c", "b"]}
    assert [year["activePipelines"]["pageInfo"]["hasNextPage"] for year in years] == [False, False, True]
    assert rest["activePipelines"]["nodes"] == [{"kindRaw": "a"}]
    assert rest["activePipelines"]["pageInfo"]["hasNextPage"] is False


async def test_r11_unfinished_work_on_a_whole_year_is_neither_of_a_module_nor_over_nor_an_orphan(engine: AsyncEngine):
    whole = {"entity_type": EntityType.GLOBAL_PER_YEAR, "module_type_id": None}
    async with engine.begin() as connection:
        await build.year(connection, 2025)
        sync = await build.run(connection, JobResult.SUCCESS, JobState.RUNNING, JobState.NOT_STARTED, kind="sync", **whole)
        await build.run(connection, JobState.RUNNING, kind="module")
        await build.run(connection, JobResult.SUCCESS, kind="ended", **whole)
        await build.run(connection, JobState.RUNNING, kind="other year", **whole, year=2024)
        await build.job(connection, state=JobState.RUNNING, job_type="orphan", **whole)

    found = await Client(engine).query("""{
      pipelines(filter: { years: [2025], level: [GLOBAL_PER_YEAR], isActive: true, isOrphan: false }) {
        nodes { pipelineId jobCount }
        totalCount { value precision }
      }
      yearConfiguration(by: { year: 2025 }) {
        activePipelines { nodes { kindRaw isOrphan } totalCount { value precision } }
      }
    }""")

    assert found["pipelines"] == {
        "nodes": [{"pipelineId": str(sync), "jobCount": 3}],
        "totalCount": {"value": 1, "precision": "EXACT"},
    }
    assert found["yearConfiguration"]["activePipelines"] == {
        "nodes": [
            {"kindRaw": "orphan", "isOrphan": True},
            {"kindRaw": "module", "isOrphan": False},
            {"kindRaw": "sync", "isOrphan": False},
        ],
        "totalCount": {"value": 3, "precision": "EXACT"},
    }
