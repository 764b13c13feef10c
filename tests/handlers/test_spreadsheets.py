"""Exports of spreadsheet programs, from POST /uploads to the kilograms and to what the graph tells of their reading."""

import unicodedata
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gql_server.db.models import TargetType
from gql_server.http.uploads import Uploads
from gql_server.worker import registry
from tests.carbon.workbooks import workbook
from tests.graph.mutations.test_ingestion import retry
from tests.graphql import AUTHORITY, Client
from tests.handlers.conftest import World

FACTORS = "category,subcategory,unit,ef_kg_co2eq_per_unit\nCO2,Glace carbonique,kg,2\nCO2,Hélium,kg,10\n"
HEADER = "unit_institutional_id,category,subcategory,quantity,note\n"
LINE = "10208,CO2,Glace carbonique,{},x\n"
LIMIT = 100 * 1024 * 1024


async def send(world: World, content: bytes, **parameters: str) -> dict[str, Any]:
    """Upload as curl would, let everything run, and return the job that read the file."""
    app = Starlette(
        routes=[Route("/uploads", Uploads(world.engine, registry, AUTHORITY.authenticate, LIMIT).post, methods=["POST"])]
    )
    headers = {"Authorization": f"Bearer {AUTHORITY.mint('superadmin', provider='ACCRED')}"}
    query = {"module": "process_emissions", "year": "2025", **parameters}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as client:
        response = await client.post("/uploads", params=query, content=content)
    assert response.status_code == 202, response.text
    await world.drain()
    return (await world.root(UUID(response.json()["pipelineId"])))._asdict()


async def quantities(world: World) -> list[tuple[str, float]]:
    rows = await world.query(
        "SELECT data ->> 'subcategory' AS gas, (data ->> 'quantity')::float8 AS quantity FROM data_entries ORDER BY id"
    )
    return [(row.gas, row.quantity) for row in rows]


@pytest.fixture
async def gases(world: World) -> World:
    await world.factors("process_emissions", FACTORS)
    return world


async def test_each_sample_lands_with_the_number_that_a_person_sees(gases: World) -> None:
    ice = "Glace carbonique"
    samples: list[tuple[str, list[tuple[str, float]]]] = [
        ("\ufeff\ufeff" + HEADER + LINE.format(100), [(ice, 100.0)]),
        ("\u200b" + HEADER + LINE.format(100), [(ice, 100.0)]),
        (HEADER + LINE.format("1\u00a0000"), [(ice, 1000.0)]),
        (HEADER + LINE.format("1'000"), [(ice, 1000.0)]),
        (HEADER.replace(",", ";") + "10208;CO2;Glace carbonique;100,5;x\n", [(ice, 100.5)]),
        ("sep=,\n" + HEADER + LINE.format(100), [(ice, 100.0)]),
        ((HEADER + LINE.format(100)).replace(",", "\t"), [(ice, 100.0)]),
        (HEADER + '"=""10208""",CO2,Glace carbonique,1,x\n', [(ice, 1.0)]),
        (HEADER + "10208.0,CO2,Glace carbonique,1,x\n", [(ice, 1.0)]),
        (HEADER + unicodedata.normalize("NFD", "10208,CO2,Hélium,1,é\n"), [("Hélium", 1.0)]),
    ]
    for content, landed in samples:
        job = await send(gases, content.encode())
        assert (job["result"], job["status_message"]) == ("SUCCESS", "Success")
        assert await quantities(gases) == landed
        kilograms = sum(quantity * {ice: 2, "Hélium": 10}[gas] for gas, quantity in landed)
        assert await gases.totals(8) == {"10208": (kilograms, 1, kilograms)}


async def test_a_workbook_lands_by_the_sheet_that_the_upload_names(gases: World, tmp_path: Path) -> None:
    columns = HEADER.strip().split(",")
    sheets = {name: [columns, [10208, "CO2", "Glace carbonique", amount, "x"]] for name, amount in (("A", 1.25), ("Été", 2.5))}
    content = workbook(tmp_path / "x.xlsx", sheets).read_bytes()

    unnamed = await send(gases, content)
    named = await send(gases, content, sheet="Été", filename="x.xlsx")

    assert unnamed["status_message"] == "the workbook has several sheets: say which with sheet, one of “A”, “Été”"
    assert named["result"] == "SUCCESS"
    assert await quantities(gases) == [("Glace carbonique", 2.5)]


async def test_a_file_with_two_readings_changes_nothing_until_its_sender_says_which_and_the_graph_tells_it(
    gases: World,
) -> None:
    await send(gases, (HEADER + LINE.format(7)).encode())
    content = (HEADER.replace(",", ";") + "10208;CO2;Glace carbonique;1,234;x\n").encode()

    refused = await send(gases, content)

    assert refused["status_message"] == (
        "“1,234” in row 1, column quantity, is 1234 with a decimal point or 1.234 with a decimal comma: "
        "say which with decimalMark, POINT or COMMA"
    )
    assert await quantities(gases) == [("Glace carbonique", 7.0)]
    told = await send(gases, content, decimalMark="COMMA")
    assert await quantities(gases) == [("Glace carbonique", 1.234)]
    client = Client(gases.engine, provider="ACCRED")
    query = 'query ($id: Int!) { job(by: { jobId: $id }) { meta { entries(keys: ["reading"]) { key value } } } }'
    answer = await client.query(query, id=told["id"])
    assert answer["job"]["meta"]["entries"] == [
        {
            "key": "reading",
            "value": {
                "format": "csv",
                "separator": "semicolon",
                "separator_from": "header",
                "decimal": "comma",
                "decimal_from": "parameter",
                "respelled": {"numbers": 1},
            },
        }
    ]


async def test_a_retry_reads_the_file_as_its_upload_said(world: World) -> None:
    content = (HEADER.replace(",", ";") + "10208;CO2;Glace carbonique;1,234;x\n").encode()
    failed = await send(world, content, decimalMark="COMMA")
    await world.factors("process_emissions", FACTORS)

    retried = await retry(Client(world.engine, provider="ACCRED"), failed["pipeline_id"])
    await world.drain()

    assert (failed["result"], failed["meta"]["reading"]["decimal"]) == ("ERROR", "comma")
    assert retried["pipeline"] is not None
    assert await quantities(world) == [("Glace carbonique", 1.234)]


async def test_a_file_read_once_more_is_read_as_the_mutation_says(gases: World) -> None:
    content = (HEADER.replace(",", ";") + "10208;CO2;Glace carbonique;1,234;x\n99999;CO2;Glace carbonique;1;x\n").encode()
    first = await send(gases, content, decimalMark="point")
    client = Client(gases.engine, provider="ACCRED")
    job = await client.query("query ($id: Int!) { job(by: { jobId: $id }) { id } }", id=first["id"])

    started = await client.query(
        "mutation ($id: ID!) { startIngestion(input: { source: { previousJob: $id }, year: 2025, moduleTypeId: 8,"
        " decimalMark: COMMA }) { ... on StartIngestionPayload { pipeline { pipelineId } } ... on Problem { message } } }",
        id=job["job"]["id"],
    )
    await gases.drain()

    assert first["status_message"] == "WARNING: 1 inserted, 1 skipped — first error: unknown unit 99999"
    assert started["startIngestion"].keys() == {"pipeline"}
    assert await quantities(gases) == [("Glace carbonique", 1.234)]


async def test_an_unknown_decimal_mark_is_refused_at_the_door(gases: World) -> None:
    with pytest.raises(AssertionError, match="decimalMark must be POINT or COMMA"):
        await send(gases, b"a\n1\n", decimalMark="dot")


async def test_a_search_finds_what_was_said_however_its_accents_are_composed(gases: World) -> None:
    await send(gases, (HEADER + unicodedata.normalize("NFD", "10208,CO2,Éthylène,1,x\n")).encode())
    client = Client(gases.engine, provider="ACCRED")
    query = "query ($term: String!) { pipelines(filter: { search: $term }) { totalCount { value } } }"

    for form in ("NFC", "NFD"):
        found = await client.query(query, term=unicodedata.normalize(form, "éthylène"))
        assert found["pipelines"]["totalCount"]["value"] == 1


async def test_headcount_factors_with_the_columns_of_the_wild_are_the_same_factors(world: World) -> None:
    ours = (
        "category,class,subclass,number_of_unit_per_fte,ef_kg_co2eq_per_unit\nfood,vegetarian,,100,1\nwaste,recycling,PET,2,3\n"
    )
    wild = (
        "headcount_category,headcount_class,headcount_subclass,unit,number_of_unit_per_fte,ef_kg_co2eq_per_unit\n"
        "food,vegetarian,,kg,200,1\nwaste,recycling,PET,kg,2,3\nfood,insects,,kg,1,1\nfood,vegetarian,,kg,many,1\n"
    )
    await world.factors("headcount", ours)

    pipeline_id = await world.upload("headcount", wild, target=TargetType.FACTORS)

    stored = await world.query("SELECT classification, values FROM factors WHERE data_entry_type_id = 1 ORDER BY id")
    assert [(row.classification, row.values) for row in stored] == [
        (
            {"category": "food", "class": "vegetarian"},
            {"unit": "kg", "number_of_unit_per_fte": 200.0, "ef_kg_co2eq_per_unit": 1.0},
        ),
        (
            {"category": "waste", "class": "recycling", "subclass": "PET"},
            {"unit": "kg", "number_of_unit_per_fte": 2.0, "ef_kg_co2eq_per_unit": 3.0},
        ),
    ]
    assert await world.row_errors(pipeline_id) == [
        (3, "no emission type for this category, class and subclass: “food / insects”"),
        (4, "number_of_unit_per_fte must be a number, not “many”"),
    ]
    columns = await world.query("SELECT e.column FROM row_errors e ORDER BY e.id")
    assert [row.column for row in columns] == ["headcount_category", "number_of_unit_per_fte"]
