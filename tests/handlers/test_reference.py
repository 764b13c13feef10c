"""Reference data: a file replaces the one before, and starts nothing else."""

from typing import Any

import pytest

from gql_server.db.models import TargetType
from gql_server.errors import BadInput
from tests.handlers.conftest import World

ROOMS = "key,building,surface\nBC 001,BC,20\nBC 002,BC,30.5\n"
BUILDING = 30


async def reference(world: World, content: str, **ingestion: Any) -> Any:
    pipeline_id = await world.upload("buildings", content, target=TargetType.REFERENCE_DATA, **ingestion)
    return await world.root(pipeline_id)


async def stored(world: World) -> list[tuple[int | None, int, str, dict[str, str]]]:
    rows = await world.query(
        "SELECT data_entry_type_id, year, key, data FROM reference_data ORDER BY data_entry_type_id, year, key"
    )
    return [(row.data_entry_type_id, row.year, row.key, row.data) for row in rows]


async def test_rows_are_kept_under_their_key_and_nothing_is_chained(world: World) -> None:
    root = await reference(world, ROOMS, data_entry_type_id=BUILDING)

    assert (root.job_type, root.result, root.status_message) == ("reference_ingest", "SUCCESS", "Success")
    assert await stored(world) == [
        (BUILDING, 2025, "BC 001", {"building": "BC", "surface": "20"}),
        (BUILDING, 2025, "BC 002", {"building": "BC", "surface": "30.5"}),
    ]
    assert len(await world.jobs(root.pipeline_id)) == 1
    assert await world.status(root.pipeline_id) == "SUCCESS"


async def test_a_file_replaces_its_predecessor_of_the_same_entry_type_and_year_only(world: World) -> None:
    await world.create_year(2026)
    await reference(world, ROOMS, data_entry_type_id=BUILDING)
    await reference(world, ROOMS, data_entry_type_id=31)
    await reference(world, ROOMS)
    await reference(world, ROOMS, data_entry_type_id=BUILDING, year=2026)

    await reference(world, "key,building\nCE 1,CE\n", data_entry_type_id=BUILDING)
    await reference(world, "key,building\nMX 1,MX\n")

    assert [row[:3] for row in await stored(world)] == [
        (BUILDING, 2025, "CE 1"),
        (BUILDING, 2026, "BC 001"),
        (BUILDING, 2026, "BC 002"),
        (31, 2025, "BC 001"),
        (31, 2025, "BC 002"),
        (None, 2025, "MX 1"),
    ]


async def test_blank_and_repeated_keys_are_row_errors(world: World) -> None:
    bad = ",BC,1\nBC 001,CE,2\nBC 003,BC,3,astray\n"

    root = await reference(world, ROOMS + bad, data_entry_type_id=BUILDING, max_rejected_share=0.6)

    assert (root.result, root.status_message) == ("WARNING", "WARNING: 2 inserted, 3 skipped — first error: key is blank")
    assert await world.row_errors(root.pipeline_id) == [
        (3, "key is blank"),
        (4, "the file gives this key twice: “BC 001”"),
        (5, "the row has a cell outside the named columns: “astray”"),
    ]
    assert [row[2] for row in await stored(world)] == ["BC 001", "BC 002"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("key,building\n,BC\n", "ERROR: 0 inserted, 1 skipped — first error: key is blank"),
        ("room,building\nBC 001,BC\n", "missing column key"),
        ("key,building\n", "the file has no data rows"),
    ],
)
async def test_a_file_without_a_good_row_keeps_the_one_before(world: World, content: str, message: str) -> None:
    await reference(world, ROOMS, data_entry_type_id=BUILDING)

    root = await reference(world, content, data_entry_type_id=BUILDING)

    assert (root.result, root.status_message) == ("ERROR", message)
    assert [row[2] for row in await stored(world)] == ["BC 001", "BC 002"]


async def test_reference_data_is_not_of_one_unit(world: World) -> None:
    with pytest.raises(BadInput, match="only data entries can be of one unit"):
        await reference(world, ROOMS, unit="10208")
