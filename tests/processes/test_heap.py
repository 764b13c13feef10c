"""The garbage collector looks at none of what a process began with, as that would hold everything up."""

import gc
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from gql_server.processes import heap, work
from gql_server.settings import Settings


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """As in a process that begins; tests have frozen theirs."""
    thresholds = gc.get_threshold()
    gc.unfreeze()
    yield
    gc.set_threshold(*thresholds)
    gc.freeze()


def test_no_collection_visits_what_was_there_at_the_start():
    heap.settle()
    began = gc.get_freeze_count()
    garbage = [[number] for number in range(1_000)]

    assert began > 10_000
    assert len(gc.get_objects()) < began / 10
    assert gc.get_freeze_count() == began
    assert len(garbage) == 1_000


async def test_a_worker_begins_with_a_settled_heap(dsn: str):
    await work(Settings(database_url=SecretStr(dsn)), dsn, drain=True)

    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold() == (heap.YOUNG_OBJECTS, *heap.ROUNDS)
