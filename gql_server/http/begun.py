"""Work that has been begun: most of it is done without anybody waiting, and needs no timer then."""

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """Work that has gone on, in the task of who makes this, until it has to wait for something. Raises what it raises.

    If it `is_done` it had to wait for nothing, and `result` is there. Else wait for it, which goes on with it.
    """

    __slots__ = ("_steps", "_waits_for", "is_done", "result")

    def __init__(self, work: Awaitable[T]) -> None:
        self._steps = work.__await__()
        self.is_done = False
        try:
            self._waits_for = next(self._steps)
        except StopIteration as end:
            self.is_done = True
            self.result: T = end.value

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._waits_for
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                advance, given = self._steps.throw, error
            else:
                advance, given = self._steps.send, sent
            try:
                waits_for = advance(given)
            except StopIteration as end:
                return end.value
