"""Work that has been begun: what waits for nothing needs no timer, and what waits goes on as if it had been awaited."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from gql_server.http.begun import Begun
from gql_server.http.connections import in_time
from gql_server.http.refusals import Refusal
from gql_server.http.wanted import while_wanted


async def at_once(value: object) -> object:
    return value


async def summed(*parts: "asyncio.Future[int]") -> int:
    return sum([await part for part in parts])


def futures(count: int) -> "list[asyncio.Future[int]]":
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


async def test_what_waits_for_nothing_is_done_at_once() -> None:
    begun = Begun(at_once("done"))

    assert (begun.is_done, begun.result) == (True, "done")


async def test_what_fails_before_it_waits_raises_at_once() -> None:
    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        Begun(fail())


async def test_what_waits_is_gone_on_with_however_often_it_waits() -> None:
    first, second = futures(2)
    begun = Begun(summed(first, second))
    asyncio.get_running_loop().call_soon(first.set_result, 1)
    asyncio.get_running_loop().call_later(0.01, second.set_result, 2)

    assert not begun.is_done
    assert await begun == 3


async def test_an_error_of_what_it_waits_for_reaches_it() -> None:
    async def forgiving(awaited: "asyncio.Future[int]") -> str:
        try:
            await awaited
        except LookupError:
            await asyncio.sleep(0)
            return "forgiven"
        return "never"

    [awaited] = futures(1)
    begun = Begun(forgiving(awaited))
    awaited.set_exception(LookupError())

    assert await begun == "forgiven"


async def test_what_is_cancelled_tidies_up() -> None:
    left: list[str] = []

    async def tidy() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            left.append("tidied")

    async def wait() -> None:
        await Begun(tidy())

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert left == ["tidied"]


async def test_only_what_waits_sets_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, timers = asyncio.get_running_loop(), list[float]()
    later, at = loop.call_later, loop.call_at

    def call_later(delay: float, *arguments: Any, **named: Any) -> asyncio.TimerHandle:
        timers.append(delay)
        return later(delay, *arguments, **named)

    def call_at(when: float, *arguments: Any, **named: Any) -> asyncio.TimerHandle:
        timers.append(when - loop.time())
        return at(when, *arguments, **named)

    async def receive() -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(loop, "call_later", call_later)
    monkeypatch.setattr(loop, "call_at", call_at)
    assert await in_time(at_once(1), 5) == await while_wanted(receive, at_once(1)) == 1
    assert timers == []

    [awaited] = futures(1)
    awaited.get_loop().call_soon(awaited.set_result, 2)
    assert await in_time(awaited, 5) == 2
    assert [round(delay) for delay in timers] == [5]


async def test_what_comes_in_parts_is_taken_in_time_or_refused() -> None:
    async def parts() -> AsyncGenerator[int]:
        yield 1
        await asyncio.sleep(0.001)
        yield 2
        await asyncio.sleep(60)

    async with aclosing(parts()) as coming:
        assert [await in_time(anext(coming, 0), 5) for _ in range(2)] == [1, 2]
        with pytest.raises(Refusal, match="too slowly"):
            await in_time(anext(coming, 0), 0.01)
