"""Long work in turns: whoever else waits for the event loop comes in between."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
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


async def grouped(items: Sequence[T], by: Callable[[T], K]) -> defaultdict[K, list[T]]:
    """The items by their keys, with a pause for others after every 200."""
    groups: defaultdict[K, list[T]] = defaultdict(list)
    for start in range(0, len(items), TURN_ITEMS):
        if start:
            await turn()
        for item in items[start : start + TURN_ITEMS]:
            groups[by(item)].append(item)
    return groups
