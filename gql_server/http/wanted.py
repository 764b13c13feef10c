"""Operations while they are wanted: until their client goes away, or they have taken too long."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from cross_web import HTTPException
from starlette.types import Receive

from gql_server.errors import DeadlineExceeded
from gql_server.graph.document_limits import REQUEST_SECONDS
from gql_server.http.begun import Begun

UNWATCHED_SECONDS = 0.02
"""Time that an operation may take before somebody looks whether its client is still there."""
TOO_LONG = f"The operation took longer than {REQUEST_SECONDS} seconds: ask for less at a time."

T = TypeVar("T")


async def while_wanted(receive: Receive, execution: Awaitable[T]) -> T:
    """The result, unless the client goes away, or it takes too long: then all that it had begun is cancelled."""
    begun = Begun(execution)
    if begun.is_done:
        return begun.result
    watch = _Watch(receive)
    beginning = asyncio.get_running_loop().call_later(UNWATCHED_SECONDS, watch.begin)
    try:
        async with watch.deadline:
            return await begun
    except TimeoutError:
        if not watch.deadline.expired():
            raise
        raise (HTTPException(499, "The client has gone away.") if watch.is_gone else DeadlineExceeded(TOO_LONG)) from None
    finally:
        beginning.cancel()
        await watch.end()


class _Watch:
    """Ends what goes on by its deadline, which is now once the client has gone away. The body has been read by then."""

    def __init__(self, receive: Receive) -> None:
        self.deadline = asyncio.timeout(None)
        self.is_gone = False
        self._receive = receive
        self._watching: asyncio.Task[None] | None = None

    def begin(self) -> None:
        loop = asyncio.get_running_loop()
        self.deadline.reschedule(loop.time() + REQUEST_SECONDS)
        self._watching = loop.create_task(self._until_gone())

    async def end(self) -> None:
        watching, self._watching = self._watching, None
        if watching:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.deadline.expired():
            self.is_gone = True
            self.deadline.reschedule(asyncio.get_running_loop().time())
