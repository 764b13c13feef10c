"""The plan executor answers as graphql-core's own does: documents, rows, errors and refusals made up from seeds."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.execution.documents import Documents
from tests.execution.library import LEFT_BEHIND, Executor, Shelf, schema

PLANNED, STOCK = schema(Executor), schema(None)
GIVEN = {
    "Author.books(first:)": ["0", "1", "3", "9"],
    "Author.greeting(to:)": ['"you"', "null"],
    "Query.authors(first:)": ["0", "1", "5"],
    "Query.author(key:)": ["1", "2", "3", "4"],
    "Query.sought(key:)": ["2", "3", "4", "5", "null"],
    "Query.certain(key:)": ["2", "3", "4", "5", "6", "7", "null"],
    "Query.books(first:)": ["1", "9"],
}
DOCUMENTS = Documents(PLANNED.executable, lambda coordinate, *_: GIVEN.get(coordinate, []))
PERMISSIONS = ("", "some", "email known secret note restricted")
CHUNK = 100

pytestmark = LEFT_BEHIND


class Answer:
    """Answer of one executor, as bytes and as errors."""

    def __init__(self, results: list[Any], shelf: Shelf) -> None:
        self.data = orjson.dumps([result.data for result in results], option=orjson.OPT_UTC_Z, default=repr)
        self.errors = [[error.formatted for error in result.errors or ()] for result in results]
        self.refused = sorted(shelf.refused.items())
        self.bytes = self.data + orjson.dumps((self.errors, self.refused))

    def outcomes(self) -> list[list[Any]]:
        """Errors by what they make null: of several below one null, which are met first is a race that nobody decides."""
        data = orjson.loads(self.data)
        return [sorted({_outcome(each, error) for error in errors}) for each, errors in zip(data, self.errors, strict=True)]


def _outcome(data: Any, error: Any) -> tuple[str, str]:
    for depth, key in enumerate(error["path"]):
        if data is None:
            return repr(error["path"][:depth]), ""
        data = data[key]
    return repr(error["path"]), error["message"]


async def both(seed: int, trouble: float, kind: str) -> Iterator[Answer]:
    document, variables = DOCUMENTS.make(seed, kind)
    answers: list[Answer] = []
    for one in (STOCK, PLANNED):
        shelf = Shelf(seed % 50, trouble, PERMISSIONS[seed % 3])
        results: list[Any] = [
            result async for result in await one.stream(document, variable_values=variables, context_value=shelf)
        ]
        assert results[0].data is not None or results[0].errors[0].path, results[0].errors
        answers.append(Answer(results, shelf))
    return iter(answers)


async def compare(seeds: range, trouble: float, kind: str) -> tuple[int, int]:
    """Numbers of answers that were the same byte for byte, and that had errors. The others must differ in a race only."""
    same = with_errors = 0
    for seed in seeds:
        stock, planned = await both(seed, trouble, kind)
        with_errors += any(stock.errors)
        if stock.bytes == planned.bytes:
            same += 1
            continue
        assert planned.data == stock.data, seed
        assert planned.outcomes() == stock.outcomes(), seed
    return same, with_errors


def some_of(chunks: int) -> list[Any]:
    """The numbers of the chunks, of which all but the first two are left to the exhaustive lane."""
    return [0, 1, *(pytest.param(chunk, marks=pytest.mark.exhaustive) for chunk in range(2, chunks))]


@pytest.mark.parametrize("chunk", some_of(6))
async def test_without_mishaps_answers_are_equal_byte_for_byte(chunk: int) -> None:
    same, with_errors = await compare(range(chunk * CHUNK, (chunk + 1) * CHUNK), 0.0, "query")
    assert same >= CHUNK - 1
    assert with_errors, "some arguments are refused, and some authors have no email"


@pytest.mark.parametrize("chunk", some_of(6))
async def test_with_a_mishap_here_and_there_answers_are_equal_byte_for_byte(chunk: int) -> None:
    same, with_errors = await compare(range(chunk * CHUNK, (chunk + 1) * CHUNK), 0.01, "query")
    assert same >= CHUNK - 4
    assert with_errors > CHUNK / 10


@pytest.mark.parametrize("chunk", some_of(4))
async def test_where_much_goes_wrong_the_same_is_null_for_the_same_reasons(chunk: int) -> None:
    same, with_errors = await compare(range(chunk * CHUNK, (chunk + 1) * CHUNK), 0.1, "query")
    assert same >= CHUNK * 0.9
    assert with_errors > CHUNK / 3


@pytest.mark.parametrize("trouble", [0.0, 0.01, 0.1])
async def test_events_of_subscriptions_are_equal_byte_for_byte(trouble: float) -> None:
    same, _ = await compare(range(CHUNK), trouble, "subscription")
    assert same >= CHUNK * (1 - trouble)
