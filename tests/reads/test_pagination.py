import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult, JobState
from gql_server.errors import BadInput, CursorFilterMismatch, CursorInvalid
from gql_server.reads.pagination.cursors import CursorCodec
from gql_server.reads.pagination.paging import Paging
from tests import build
from tests.graphql import Client

CURSORS = CursorCodec(b"secret")
PAGING = Paging(CURSORS, size_max=200)
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)


@given(scope=st.text(), key=KEYS)
def test_a_cursor_gives_back_its_key(scope: str, key: str):
    assert CURSORS.decode(scope, CURSORS.encode(scope, key)) == key


@given(key=KEYS, data=st.data())
def test_a_cursor_that_was_changed_is_refused(key: str, data: st.DataObject):
    cursor = CURSORS.encode("list", key)
    place = data.draw(st.integers(0, len(cursor) - 1))
    letter = data.draw(st.characters(exclude_characters=cursor[place]))

    with pytest.raises(CursorInvalid):
        CURSORS.decode("list", cursor[:place] + letter + cursor[place + 1 :])


@given(st.text(), st.binary())
def test_what_is_no_cursor_is_refused(text: str, noise: bytes):
    for cursor in (text, urlsafe_b64encode(noise).decode(), f"{CURSORS.encode('list', 'key')}{text or '='}"):
        with pytest.raises(CursorInvalid):
            CURSORS.decode("list", cursor)


def test_a_cursor_shortened_or_made_with_another_key_is_refused():
    cursor = CURSORS.encode("list", "key")

    for foreign in (
        CursorCodec(b"other").encode("list", "key"),
        cursor[:-1],
        urlsafe_b64encode(urlsafe_b64decode(cursor)[1:]).decode(),
    ):
        with pytest.raises(CursorInvalid):
            CURSORS.decode("list", foreign)


def test_a_cursor_of_another_list_filter_or_direction_is_a_mismatch():
    cursor = PAGING.window("Query.pipelines", criteria="a", descending=True)
    end = CURSORS.encode(cursor.scope, "key")

    assert PAGING.window("Query.pipelines", criteria="a", descending=True, after=end).after == "key"
    for coordinate, criteria, descending in (
        ("Pipeline.jobs", "a", True),
        ("Query.pipelines", "b", True),
        ("Query.pipelines", "a", False),
    ):
        with pytest.raises(CursorFilterMismatch):
            PAGING.window(coordinate, criteria=criteria, descending=descending, after=end)


@pytest.mark.parametrize("size", [0, -1, 201])
@pytest.mark.parametrize("argument", ["first", "last"])
def test_a_page_size_out_of_range_is_refused(argument: str, size: int):
    with pytest.raises(BadInput, match=f"`{argument}` must be between 1 and 200"):
        PAGING.window("list", **cast(Any, {argument: size}))


def test_first_and_last_together_are_refused():
    with pytest.raises(BadInput, match="not both"):
        PAGING.window("list", first=1, last=1)


def test_without_a_size_a_page_has_fifty_items_from_the_side_that_was_named():
    before = CURSORS.encode(PAGING.window("list").scope, "key")

    assert (PAGING.window("list").size, PAGING.window("list").backward) == (50, False)
    assert (PAGING.window("list", before=before).size, PAGING.window("list", before=before).backward) == (50, True)


async def _ids(client: Client, **arguments: object) -> tuple[list[str], dict[str, object]]:
    declared = "$first: Int, $after: String, $last: Int, $before: String"
    passed = "first: $first, after: $after, last: $last, before: $before"
    page = (
        await client.query(
            f"query ({declared}) {{ pipelines({passed}) {{ nodes {{ id }} edges {{ cursor node {{ id }} }} "
            "pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }",
            **arguments,
        )
    )["pipelines"]
    ids = [node["id"] for node in page["nodes"]]
    assert [edge["node"]["id"] for edge in page["edges"]] == ids
    if ids:
        assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
        assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]
    return ids, page["pageInfo"]


async def test_walking_pages_either_way_gives_each_item_once_in_order(engine: AsyncEngine):
    shuffle = random.Random(17)
    async with engine.begin() as connection:
        for _ in range(37):
            if shuffle.random() < 0.4:
                await build.job(connection, result=JobResult.SUCCESS)
            else:
                await build.run(connection, JobState.RUNNING)
    client = Client(engine)
    everything, _ = await _ids(client, first=200)

    for size in (1, 5, 36, 37, 200):
        forward, info = await _ids(client, first=size)
        assert info["hasPreviousPage"] is False
        while info["hasNextPage"]:
            ids, info = await _ids(client, first=size, after=info["endCursor"])
            assert info["hasPreviousPage"] is True
            forward += ids
        backward, info = await _ids(client, last=size)
        assert info["hasNextPage"] is False
        while info["hasPreviousPage"]:
            ids, info = await _ids(client, last=size, before=info["startCursor"])
            assert info["hasNextPage"] is True
            backward = ids + backward

        assert len(set(everything)) == 37
        assert forward == everything
        assert backward == everything


async def test_both_ends_can_be_bounded(engine: AsyncEngine):
    async with engine.begin() as connection:
        for _ in range(6):
            await build.run(connection, JobResult.SUCCESS)
    client = Client(engine)
    edges = (await client.query("{ pipelines { edges { cursor node { id } } } }"))["pipelines"]["edges"]
    ids = [edge["node"]["id"] for edge in edges]

    between = {"after": edges[0]["cursor"], "before": edges[5]["cursor"]}

    assert (await _ids(client, first=10, **between))[0] == ids[1:5]
    assert (await _ids(client, first=2, **between))[0] == ids[1:3]
    assert (await _ids(client, last=2, **between))[0] == ids[3:5]


async def test_a_page_after_the_last_item_is_empty(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS)
    client = Client(engine)
    _, info = await _ids(client)

    ids, after = await _ids(client, after=info["endCursor"])

    assert ids == []
    assert after == {"startCursor": None, "endCursor": None, "hasNextPage": False, "hasPreviousPage": True}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("first: 0", "BAD_USER_INPUT"),
        ("first: 201", "BAD_USER_INPUT"),
        ("last: 201", "BAD_USER_INPUT"),
        ("first: 1, last: 1", "BAD_USER_INPUT"),
        ('after: "nonsense"', "CURSOR_INVALID"),
        ('before: ""', "CURSOR_INVALID"),
    ],
)
async def test_the_api_says_what_is_wrong_with_the_arguments(engine: AsyncEngine, arguments: str, code: str):
    assert await Client(engine).codes(f"{{ pipelines({arguments}) {{ nodes {{ id }} }} }}") == [code]


async def test_a_cursor_does_not_fit_another_filter(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS)
    client = Client(engine)
    cursor = (await client.query("{ pipelines { pageInfo { endCursor } } }"))["pipelines"]["pageInfo"]["endCursor"]

    codes = await client.codes(
        "query ($after: String) { pipelines(filter: { years: [2025] }, after: $after) { nodes { id } } }", after=cursor
    )

    assert codes == ["CURSOR_FILTER_MISMATCH"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 1000), unique=True), st.integers(1, 7), st.booleans())
def test_a_window_gives_its_rows_in_list_order(keys: list[int], size: int, descending: bool):
    class Row:
        def __init__(self, key: int) -> None:
            self.key = key

    ordered = sorted(keys, reverse=descending)

    forward = PAGING.window("list", first=size, descending=descending).page([Row(key) for key in ordered[: size + 1]], "key")
    backward = PAGING.window("list", last=size, descending=descending).page(
        [Row(key) for key in ordered[::-1][: size + 1]], "key"
    )

    assert [row.key for row in forward.nodes] == ordered[:size]
    assert [row.key for row in backward.nodes] == ordered[-size:]
