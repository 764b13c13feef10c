"""Loaders: what is asked in one tick is read at once, and what was read is not read again."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from gql_server.db import outages
from gql_server.reads import batches
from gql_server.reads.loaders import Loaders, retried_on_outage

READ: list[list[int]] = []


class Engine:
    """Connections that are numbered as they are borrowed."""

    def __init__(self) -> None:
        self.borrowed = self.given_back = 0

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[int]:
        self.borrowed += 1
        try:
            yield self.borrowed
        finally:
            self.given_back += 1


async def squares(_connection: int, _viewer: None, keys: list[int], limit: int = 10) -> dict[int, int]:
    READ.append(keys)
    if 13 in keys:
        raise LookupError("13")
    return {key: key * key for key in keys if key < limit}


async def connections(connection: int, _viewer: None, keys: list[int]) -> dict[int, int]:
    return dict.fromkeys(keys, connection)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def loaders(engine: Engine) -> Loaders:
    READ.clear()
    return Loaders(engine, None)  # type: ignore[arg-type]


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
    first, second = loaders.values(squares, [1]), loaders.values(squares, [1, 2])
    await asyncio.sleep(0)
    first.cancel()
    assert await second == [1, 4]


async def slow(connection: int, _viewer: None, keys: list[int]) -> dict[int, int]:
    await asyncio.sleep(0.05 if connection == 1 else 0)
    return dict.fromkeys(keys, connection)


async def test_a_read_is_given_up_once_nobody_wants_it_and_those_after_it_go_on(
    loaders: Loaders, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PATIENCE_SECONDS", 60.0)
    first, second, after = loaders.values(slow, [1]), loaders.values(slow, [1, 2]), loaders.values(connections, [3])
    await asyncio.sleep(0.001)
    first.cancel()
    second.cancel()
    async with asyncio.timeout(0.04):
        assert await after == [2], "a connection is given back whose statement was cancelled"
    again = await loaders.values(slow, [1])
    assert again == [engine.borrowed], "what was given up is read when somebody wants it"
    await asyncio.sleep(0.01)
    assert (engine.given_back, batches.WORKING) == (engine.borrowed, set())


async def test_what_nobody_wants_any_more_is_not_begun(loaders: Loaders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PATIENCE_SECONDS", 60.0)
    first, second = loaders.values(slow, [1]), loaders.values(squares, [2])
    await asyncio.sleep(0)
    second.cancel()
    assert await first == [1]
    await asyncio.sleep(0.01)
    assert READ == []
    assert await loaders.values(squares, [2]) == [4]


async def test_what_is_asked_for_after_all_that_waited_was_given_up_is_read(
    loaders: Loaders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PATIENCE_SECONDS", 60.0)
    first, second = loaders.values(slow, [1]), loaders.values(squares, [2])
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert await loaders.values(squares, [3]) == [9]
    assert await first == [1]


async def test_a_read_that_is_given_up_in_an_outage_is_not_tried_again(engine: Engine) -> None:
    loaders = Loaders(engine, None, retried_on_outage)  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as logs:
        asked = loaders.alone(away)
        async with asyncio.timeout(10):
            while not logs:
                await asyncio.sleep(0)
        asked.cancel()
        await asyncio.sleep(3 * outages.FIRST_RETRY_SECONDS)
    assert [line["event"] for line in logs] == ["feed.read_retried"]
    assert (engine.borrowed, engine.given_back, batches.WORKING) == (1, 1, set())


async def away(_connection: int, _viewer: None) -> None:
    raise ConnectionRefusedError("the database is away")


async def roots(connection: int, _viewer: None, of: int) -> tuple[int, int]:
    return connection, of


async def test_what_has_no_key_is_read_with_the_rest_over_the_same_connection(loaders: Loaders, engine: Engine) -> None:
    found: Any = await asyncio.gather(loaders.alone(roots, of=4), loaders.values(connections, [1]), loaders.alone(roots, of=9))
    assert found == [[(1, 4)], [1], [(1, 9)]]
    assert engine.borrowed == 1


async def test_what_is_read_in_one_tick_goes_over_one_connection(loaders: Loaders, engine: Engine) -> None:
    found: Any = await asyncio.gather(
        loaders.values(squares, [2]), loaders.load(squares, 3, limit=5), loaders.values(connections, [1])
    )
    assert found == [[4], 9, [1]]
    assert await loaders.load(connections, 2) == 2
    assert (engine.borrowed, engine.given_back) == (2, 2)


async def test_what_is_asked_because_of_a_read_goes_over_the_same_connection(loaders: Loaders, engine: Engine) -> None:
    async def then(key: int) -> Any:
        [square] = await loaders.values(squares, [key])
        return await loaders.values(connections, [square])

    assert await asyncio.gather(then(1), then(2)) == [[1], [1]]
    assert (READ, engine.borrowed) == ([[1, 2]], 1)


async def test_what_is_prepared_is_read_with_the_rest_and_once(loaders: Loaders, engine: Engine) -> None:
    loaders.prepare(squares, [13], limit=5)
    loaders.prepare(squares, [1, 2])
    assert await loaders.values(connections, [1]) == [2]
    assert await loaders.values(squares, [2]) == [4]
    with pytest.raises(LookupError, match="13"):
        await loaders.values(squares, [13], limit=5)
    assert READ == [[13], [1, 2]]


async def test_while_a_read_takes_long_the_next_goes_over_a_connection_of_its_own(loaders: Loaders, engine: Engine) -> None:
    released = asyncio.Event()

    async def slow(connection: int, _viewer: None, keys: list[int]) -> dict[int, int]:
        await released.wait()
        return dict.fromkeys(keys, connection)

    first = asyncio.ensure_future(loaders.values(slow, [1]))
    await asyncio.sleep(0)
    assert await loaders.values(connections, [1]) == [2]
    released.set()
    assert await first == [1]
    await asyncio.sleep(0.01)
    assert (engine.borrowed, engine.given_back) == (2, 2)


async def test_after_a_read_that_failed_the_next_goes_over_another_connection(loaders: Loaders, engine: Engine) -> None:
    found: Any = await asyncio.gather(loaders.load(squares, 13), loaders.load(connections, 1), return_exceptions=True)
    assert [type(found[0]), found[1]] == [LookupError, 2]


async def test_where_there_is_no_connection_every_read_fails(loaders: Loaders, engine: Engine) -> None:
    def refuse() -> None:
        raise ConnectionRefusedError("no database")

    engine.connect = refuse  # type: ignore[method-assign, assignment]
    found = await asyncio.gather(loaders.values(squares, [1]), loaders.load(connections, 1), return_exceptions=True)
    assert [repr(each) for each in found] == ["ConnectionRefusedError('no database')"] * 2


async def test_loaders_are_gone_once_nobody_holds_them(loaders: Loaders) -> None:
    gc.collect()
    gc.disable()
    try:
        own = Loaders(Engine(), None)  # type: ignore[arg-type]
        gone = weakref.ref(own._of(squares))
        assert await own.values(squares, [1, 2]) == [1, 4]
        assert await own.load(squares, 3) == 9
        del own
        assert gone() is None
    finally:
        gc.enable()
