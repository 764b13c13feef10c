"""No field of a pipeline of thousands of jobs holds the event loop for long: others come in between.

What is counted is lines of Python between two turns of a task that only waits, the same in every run, unlike seconds. Fifty
milliseconds are some 500,000 of them. Each is asked for the first time, when statements have yet to be built and compiled.
"""

import asyncio
import sys
from types import FrameType
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import loop
from tests.graphql import Client

JOBS = 3_000
LINES_MAX = 250_000
QUERIES = {
    **{
        name: f"query ($id: UUID!) {{ pipeline(by: {{ pipelineId: $id }}) {{ {field} }} }}"
        for name, field in loop.FIELDS.items()
    },
    "facets": loop.FACETS,
}


class Turns:
    """Lines that are executed between the turns of the loop, while this is entered."""

    def __init__(self) -> None:
        self.lines = self.longest = 0

    def __enter__(self) -> "Turns":
        self._before, self._waiting = sys.gettrace(), asyncio.create_task(self._wait())
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)
        self._waiting.cancel()

    def _trace(self, _frame: FrameType, event: str, _: object) -> Any:
        self.lines += event == "line"
        return self._trace

    async def _wait(self) -> None:
        while True:
            self.longest, self.lines = max(self.longest, self.lines), 0
            await asyncio.sleep(0)


@pytest.fixture
async def pipeline_id(engine: AsyncEngine) -> str:
    async with engine.begin() as connection:
        return str(await loop.fill(connection, JOBS))


async def test_others_come_in_between_whatever_is_asked_of_thousands_of_jobs(engine: AsyncEngine, pipeline_id: str):
    client, longest = Client(engine, provider="ACCRED"), dict[str, int]()
    for name, query in QUERIES.items():
        with Turns() as turns:
            found = await client.query(query, **({"id": pipeline_id} if "$id" in query else {}))
            await asyncio.sleep(0)
        assert found["pipelines" if name == "facets" else "pipeline"]
        longest[name] = turns.longest

    assert {name: lines for name, lines in longest.items() if lines > LINES_MAX} == {}
