"""Plans: what they do at once, leave to graphql-core, and keep from one execution to the next."""

import asyncio
import gc
from collections import Counter
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any, ClassVar, NamedTuple

import pytest
import strawberry
from graphql import parse
from strawberry.extensions import ParserCache, SchemaExtension

from gql_server.execution import compiled
from gql_server.execution.region import ObjectBatch, Region
from gql_server.execution.rows import Table
from tests.execution.library import EPOCH, Author, Book, Executor, Query, Shelf, author, books_of, schema


class Counting(Executor):
    """Counts what graphql-core executes, by response key."""

    executed: ClassVar[Counter[str]] = Counter()

    def execute_field(self, parent_type: Any, source: Any, field_details_list: Any, path: Any, position_context: Any) -> Any:
        self.executed[path.key] += 1
        return super().execute_field(parent_type, source, field_details_list, path, position_context)


SCHEMA = schema(Counting)


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    Counting.executed.clear()


async def answer(query: str, shelf: Shelf | None = None, **variables: Any) -> Any:
    result = await SCHEMA.execute(query, variable_values=variables, context_value=shelf or Shelf())
    assert result.errors is None, result.errors
    return result.data


async def test_a_list_is_answered_without_executing_a_field_of_its_objects() -> None:
    data = await answer("{ authors { name mood profile { age } tags } }")
    assert data["authors"][0] == {"name": "Author 1", "mood": "UNKNOWN", "profile": {"age": 1}, "tags": []}
    assert Counting.executed == {"authors": 1}


async def test_a_child_is_loaded_once_for_all_objects_of_all_lists() -> None:
    shelf = Shelf()
    data = await answer("{ authors(first: 5) { books(first: 2) { nodes { author { latest { title } } } } } }", shelf)
    assert shelf.reads == {books_of.__name__: 1, author.__name__: 1, "book": 1}
    assert len(data["authors"]) == 5
    assert Counting.executed == {"authors": 1}


async def test_what_needs_no_resolver_is_answered_without_executing_a_field() -> None:
    founders = "fragment Founder on Query { founder { name profile { age } } }"
    query = f"query ($is: Boolean!) {{ motto a: house ...Founder @include(if: $is) __typename }} {founders}"
    for is_founded in (True, False, True):
        founded: dict[str, Any] = {"is": is_founded}
        data = await answer(query, **founded)
        founder = {"founder": {"name": "Author 3", "profile": {"age": 3}}} if is_founded else {}
        assert data == {"motto": "read", "a": "Shelf", **founder, "__typename": "Query"}
    assert Counting.executed == {}


async def test_a_query_whose_own_fields_are_declared_is_answered_without_executing_one() -> None:
    query = "query ($key: Int) { sought(key: $key) { name books { nodes { title } } } motto }"
    data = await answer(query, key=3)
    assert data == {
        "sought": {"name": "Author 3", "books": {"nodes": [{"title": "Book 31"}]}},
        "motto": "read",
    }
    assert await answer(query, key=None) == {"sought": None, "motto": "read"}
    assert Counting.executed == {}


async def test_arguments_are_those_of_each_execution() -> None:
    query = """query ($key: Int, $few: Int! = 1) {
      sought(key: $key) { a: books(first: $few) { nodes { title } } b: books(first: 2) { nodes { title } } }
    }"""

    async def titles(**variables: Any) -> Any:
        sought = (await answer(query, **variables))["sought"]
        return sought and [[each["title"] for each in sought[key]["nodes"]] for key in "ab"]

    assert await titles(key=3, few=2) == [["Book 31"], ["Book 31"]]
    assert await titles(key=2, few=2) == [["Book 20", "Book 21"], ["Book 20", "Book 21"]]
    assert await titles(key=2) == [["Book 20"], ["Book 20", "Book 21"]]
    assert await titles(key=None, few=2) is None
    assert await titles(few=0) == [[], ["Book 10", "Book 11"]]
    assert Counting.executed == {}


async def test_what_is_loaded_in_vain_is_given_up() -> None:
    """A query that is null does not wait for what else was asked for."""
    shelf = Shelf()
    waiting = asyncio.get_running_loop().create_future()

    async def load_many(query: Any, keys: Any, **_: Any) -> Any:
        return [None] if keys == [5] else await waiting

    shelf.load_many = load_many  # type: ignore[method-assign]
    result = await SCHEMA.execute("{ sought(key: 3) { name } certain(key: 5) { name } }", context_value=shelf)
    assert (result.data, len(result.errors or ()), waiting.cancelled()) == (None, 1, True)
    assert Counting.executed == {}


async def test_what_has_the_key_of_an_object_is_asked_for_together_with_it() -> None:
    shelf = Shelf(permissions="note")
    await answer("{ sought(key: 2) { books { hasNext } note latest { title } debut { title } } }", shelf)
    assert shelf.prepared == [("books_of", [2]), ("book", [2])]
    assert shelf.reads == {"author": 1, "books_of": 1, "note_of": 1, "book": 2}


async def test_what_is_wrong_is_said_once_where_something_was_asked_for_together_with_its_object() -> None:
    query = "query ($key: Int) { sought(key: $key) { books(first: 9) { hasNext } } }"
    result = await SCHEMA.execute(query, variable_values={"key": 3}, context_value=Shelf())
    assert [(error.message, error.path) for error in result.errors or ()] == [("first is out of range", ["sought", "books"])]
    result = await SCHEMA.execute(query, variable_values={"key": 4}, context_value=Shelf())
    assert [(error.message, error.path) for error in result.errors or ()] == [("nobody has this key", ["sought"])]


async def test_a_query_is_null_where_what_is_looked_up_must_be_there_and_is_not() -> None:
    result = await SCHEMA.execute("{ certain(key: null) { name } }", context_value=Shelf())
    assert (result.data, [error.path for error in result.errors or ()]) == (None, [["certain"]])


@pytest.mark.parametrize(
    "query",
    [
        "{ sought(key: 3) { name books { nodes { title } } } }",
        "{ founder { name contact { email } } }",
        "{ authors(first: 2) { secret contact { isKnown } books { nodes { author { secret } } } } }",
        "{ authors(first: 2) { greeting profile { age } books { total info { hasNext } nodes { printings { label } } } } }",
    ],
)
async def test_nothing_of_an_execution_is_left_to_the_garbage_collector(query: str) -> None:
    document = parse(query)
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):
            executor: Any = Executor.build(SCHEMA.executable, document, None, Shelf(permissions="email known secret"))
            result = executor.execute_operation()
            answered = await result if isawaitable(result) else result
            assert answered.errors is None
            del executor, result
        assert [each for each in gc.get_objects() if isinstance(each, Executor | Region | ObjectBatch)] == []
    finally:
        gc.enable()


async def test_a_denial_at_once_is_counted() -> None:
    shelf = Shelf(permissions="")
    assert await answer("{ founder { secret } }", shelf) == {"founder": {"secret": None}}
    assert (shelf.refused, Counting.executed) == ({"secret": 1}, {})


async def test_only_coded_fields_are_executed_one_by_one() -> None:
    await answer("{ authors(first: 2) { name greeting books { hasNext total } } }")
    assert Counting.executed == {"authors": 1, "greeting": 2, "total": 2}


async def test_keys_stand_in_the_order_of_the_selection_whoever_answers_them() -> None:
    data = await answer("{ author { fame b: name latest { title } a: mood greeting } }")
    assert list(data["author"]) == ["fame", "b", "latest", "a", "greeting"]


async def test_only_what_is_unusual_is_executed_field_by_field() -> None:
    """One of five pages has a book that cannot be told: that page alone is graphql-core's."""
    shelf = Shelf(seed=8, trouble=0.02)
    result = await SCHEMA.execute("{ authors(first: 5) { books { nodes { title pages } } } }", context_value=shelf)
    assert [error.path for error in result.errors or ()] == [["authors", 1, "books", "nodes", 0, "pages"]]
    assert Counting.executed == {"authors": 1, "nodes": 1, "title": 1, "pages": 1}


async def test_a_denial_is_counted_once_a_row_and_decided_once_a_list() -> None:
    shelf = Shelf(permissions="")
    data = await answer("{ authors(first: 4) { secret restricted { age } } }", shelf)
    assert data == {"authors": [{"secret": None, "restricted": None}] * 4}
    assert shelf.refused == {"secret": 4, "restricted": 4}


async def test_nothing_is_denied_where_there_is_nothing() -> None:
    shelf = Shelf(permissions="email")
    data = await answer("{ authors(first: 4) { contact { isKnown } } }", shelf)
    there = [each["contact"] for each in data["authors"] if each["contact"]]
    assert shelf.refused == {"known": len(there)}


async def test_conditions_that_differ_do_not_share_a_selection() -> None:
    query = "query ($deep: Boolean!) { author { name age: key @include(if: $deep) @skip(if: false) } }"
    assert await answer(query, deep=True) == {"author": {"name": "Author 1", "age": 1}}
    assert await answer(query, deep=False) == {"author": {"name": "Author 1"}}
    assert await answer(query, deep=True) == {"author": {"name": "Author 1", "age": 1}}


async def test_viewers_of_one_document_do_not_share_permissions() -> None:
    query = "{ authors(first: 1) { secret } }"
    assert await answer(query, Shelf(permissions="secret")) == {"authors": [{"secret": "n1"}]}
    assert await answer(query, Shelf(permissions="")) == {"authors": [{"secret": None}]}
    assert await answer(query, Shelf(permissions="secret")) == {"authors": [{"secret": "n1"}]}


async def test_an_operation_is_compiled_once_and_only_so_many_are_kept() -> None:
    compiled._compiled.cache_clear()
    cached = strawberry.Schema(query=Query, types=[Author, Book], execution_context_class=Executor, extensions=[ParserCache])
    for _ in range(3):
        await cached.execute("{ author { name } }", context_value=Shelf())
    known = compiled._compiled.cache_info()
    assert (known.misses, known.hits, known.maxsize) == (1, 2, compiled.OPERATIONS_MAX)


async def test_an_extension_that_resolves_fields_sees_every_one() -> None:
    seen: list[str] = []

    class Seeing(SchemaExtension):
        def resolve(self, _next: Any, root: Any, info: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(info.field_name)
            return _next(root, info, *args, **kwargs)

    watched = strawberry.Schema(query=Query, types=[Author, Book], execution_context_class=Executor, extensions=[Seeing])
    await watched.execute("{ author { key name } }", context_value=Shelf())
    assert seen == ["author", "key", "name"]


class Row(NamedTuple):
    one: int
    two: int

    @property
    def both(self) -> int:
        return self.one + self.two


class Derived(tuple[Any, ...]):
    __slots__ = ()
    _fields = ("one", "two")
    _derived: ClassVar[Any] = {"product": (lambda one, two: one * two, ("one", "two")), "unread": (str, ("three",))}
    unread = "?"


@pytest.mark.parametrize(
    ("rows", "name", "column"),
    [
        ([Row(1, 2), Row(3, 4)], "two", [2, 4]),
        ([Row(1, 2), Row(3, 4)], "both", [3, 7]),
        ([Derived((1, 2)), Derived((3, 4))], "one", [1, 3]),
        ([Derived((1, 2)), Derived((3, 4))], "product", [2, 12]),
        ([Derived((1, 2)), Derived((3, 4))], "unread", ["?", "?"]),
        ([EPOCH, EPOCH], "year", [2024, 2024]),
        ([Row(1, 2), datetime(2, 1, 1, tzinfo=UTC)], "__class__", [Row, datetime]),
        ([], "one", []),
    ],
)
def test_a_column_is_read_by_position_or_by_name(rows: list[Any], name: str, column: list[Any]) -> None:
    assert [*Table(rows).column(name)] == column


async def test_only_the_first_event_of_a_subscription_is_executed_by_graphql_core() -> None:
    query = "subscription ($deep: Boolean!) { a: followed { name books(first: 1) @include(if: $deep) { nodes { title } } } }"
    shallow, deep = {"a": {"name": "Author 2"}}, {"a": {"name": "Author 2", "books": {"nodes": [{"title": "Book 20"}]}}}
    for is_deep, second in ((True, deep), (False, shallow), (True, deep)):
        variables: dict[str, Any] = {"deep": is_deep}
        Counting.executed.clear()
        events: Any = await SCHEMA.subscribe(query, variable_values=variables, context_value=Shelf())
        told = [event async for event in events]
        assert [event.errors for event in told] == [None] * 3
        assert told[1].data == second
        assert Counting.executed == {"a": 1}
