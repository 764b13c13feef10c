"""Long work in turns: whoever else waits for the event loop comes in between."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")
TURN_ITEMS = 200


async def turn() -> None:
    """Let others have the event loop, between two long pieces of work."""
    await asyncio.sleep(0)


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """The items, with a pause for others after every 200."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % TURN_ITEMS == 0:
            await turn()
