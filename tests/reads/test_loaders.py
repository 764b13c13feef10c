"""Loaders: what is asked in one tick is read at once, and what was read is not read again."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gql_server.reads.loaders import Loaders

READ: list[list[int]] = []


class Engine:
    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[None]:
        yield


async def squares(_connection: None, _viewer: None, keys: list[int], limit: int = 10) -> dict[int, int]:
    READ.append(keys)
    if 13 in keys:
        raise LookupError("13")
    return {key: key * key for key in keys if key < limit}


@pytest.fixture
def loaders() -> Loaders:
    READ.clear()
    return Loaders(Engine(), None)  # type: ignore[arg-type]


async def test_values_of_many_keys_come_in_their_order_with_none_for_what_is_absent(loaders: Loaders) -> None:
    assert await loaders.values(squares, [3, 11, 1, 3]) == [9, None, 1, 9]
    assert READ == [[3, 11, 1]]


async def test_what_is_asked_in_one_tick_is_read_at_once(loaders: Loaders) -> None:
    answers: Any = await asyncio.gather(loaders.values(squares, [1, 2]), loaders.values(squares, [2, 3]))
    assert answers == [[1, 4], [4, 9]]
    assert READ == [[1, 2, 3]]


async def test_what_was_read_is_not_read_again_whoever_asks(loaders: Loaders) -> None:
    assert await loaders.load(squares, 1) == 1
    assert await loaders.values(squares, [1, 2]) == [1, 4]
    assert await loaders.load(squares, 2) == 4
    assert await loaders.values(squares, [2, 1]) == [4, 1]
    assert READ == [[1], [2]]


async def test_other_arguments_are_another_read(loaders: Loaders) -> None:
    assert await loaders.values(squares, [5], limit=5) == [None]
    assert await loaders.values(squares, [5], limit=6) == [25]
    assert READ == [[5], [5]]


async def test_a_read_that_fails_fails_for_all_who_share_it(loaders: Loaders) -> None:
    found = await asyncio.gather(loaders.values(squares, [13]), loaders.values(squares, [1]), return_exceptions=True)
    assert [str(each) for each in found] == ["13", "13"]


async def test_who_is_cancelled_takes_nothing_from_the_others(loaders: Loaders) -> None:
    first = asyncio.create_task(loaders.values(squares, [1]))
    second = asyncio.create_task(loaders.values(squares, [1, 2]))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == [1, 4]
