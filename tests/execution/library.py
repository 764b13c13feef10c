"""A graph of authors and books whose rows, errors and refusals are made up from a seed, and which any executor can serve."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, NamedTuple
from uuid import UUID
from zlib import crc32

import pytest
import strawberry
from aiodataloader import DataLoader
from graphql import GraphQLSchema
from strawberry import UNSET
from strawberry.schema.config import StrawberryConfig

from gql_server.execution import KEY, Child, Computed, Guarded, Judged, Native, Part, PlanExecutor

EPOCH = datetime(2024, 2, 29, 12, tzinfo=UTC)
LEFT_BEHIND = [
    pytest.mark.usefixtures("collected"),
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""Marks of tests in which graphql-core leaves coroutines behind, where an error makes what they are for null."""


class Mishap(Exception):
    """Error that a resolver or a query raises."""


class Junk:
    """A value of no use."""

    def __repr__(self) -> str:
        return "junk"


class Dice:
    """Numbers that depend on nothing but the seed and what they are for."""

    def __init__(self, seed: int, trouble: float) -> None:
        self._seed, self._trouble = seed, trouble

    def roll(self, sides: int, *purpose: object) -> int:
        return crc32(repr((self._seed, *purpose)).encode()) * 2654435761 % 2**32 % sides

    def trouble(self, *purpose: object) -> bool:
        return bool(self._trouble) and self.roll(1000, "trouble", *purpose) < self._trouble * 1000


class Shelf:
    """The context: loaders, and what the viewer was refused."""

    def __init__(self, seed: int = 0, trouble: float = 0.0, permissions: str = "") -> None:
        self.dice = Dice(seed, trouble)
        self.permissions = permissions
        self.refused: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self.prepared: list[tuple[str, list[Any]]] = []
        self._loaders: dict[Any, DataLoader[Any, Any]] = {}

    def load(self, query: Callable[..., Any], key: Any, **arguments: Any) -> Awaitable[Any]:
        name = (query, *sorted(arguments.items()))
        if name not in self._loaders:

            async def batch(keys: list[Any]) -> list[Any]:
                return list(await self.load_many(query, keys, **arguments))

            self._loaders[name] = DataLoader(batch)
        return asyncio.shield(self._loaders[name].load(key))

    async def load_many(self, query: Callable[..., Any], keys: Sequence[Any], **arguments: Any) -> Sequence[Any]:
        self.reads[query.__name__] += 1
        if self.dice.roll(4000, "outage", query.__name__) < self.dice._trouble * 1000:
            raise Mishap(f"no {query.__name__}")
        return [query(self.dice, key, **arguments) for key in keys]


Info = strawberry.Info[Shelf, None]


class AuthorRow(NamedTuple):
    key: int
    name: Any
    nickname: Any
    mood: Any
    born: Any
    reference: Any
    rating: Any
    age: Any
    is_active: Any
    tags: Any
    scores: Any
    email: Any
    debut_key: Any
    friend: Any

    node_type = "Author"

    @property
    def shout(self) -> str:
        return self.name.upper()


class BookRow(NamedTuple):
    key: int
    title: Any
    pages: Any
    genre: Any
    author_key: Any
    printings: Any

    node_type = "Book"


class Page(NamedTuple):
    nodes: Any
    has_next: Any

    @property
    def edges(self) -> list["Edge"]:
        return [Edge(f"c{node.key}", node) for node in self.nodes]


class Edge(NamedTuple):
    cursor: str
    node: Any


class Mood(Enum):
    GLAD = "glad"
    SAD = "sad"
    UNKNOWN = "unknown"


class Genre(Enum):
    NOVEL = 1
    POEM = 2


def spoilt(dice: Dice, value: Any, *purpose: object) -> Any:
    """The value, or something that is none."""
    if not dice.trouble(*purpose):
        return value
    return (None, Mishap(f"spoilt {purpose[-1]}"), Junk(), [], b"bytes", {"a": 1})[dice.roll(6, "kind", *purpose)]


def author(dice: Dice, key: int | None) -> Any:
    if key is None or dice.roll(12, "absent", key) == 0:
        return None

    def of(name: str, value: Any) -> Any:
        return spoilt(dice, value, "author", key, name)

    odd = dice.roll(2, "odd", key)
    return AuthorRow(
        key,
        of("name", f"Author {key}"),
        of("nickname", f"n{key}" if odd else None),
        of("mood", ("glad", "sad", Mood.UNKNOWN)[dice.roll(3, "mood", key)]),
        of("born", EPOCH + timedelta(days=key, microseconds=odd) if odd else None),
        of("reference", UUID(int=key)),
        of("rating", (0.5, 3, float("inf"), None)[dice.roll(4, "rating", key)] if odd else key / 3),
        of("age", (17, 2**40, True, 3.0)[dice.roll(4, "age", key)] if dice.roll(9, "big", key) == 0 else key),
        of("is_active", bool(odd)),
        of("tags", [f"t{n}" for n in range(dice.roll(3, "tags", key))]),
        of("scores", None if odd else [1, None, 3]),
        of("email", f"{key}@example.org" if odd else None),
        None if dice.trouble("debut", key) else key * 10,
        of("friend", author(dice, key // 2) if key % 4 == 0 and key else book(dice, key) if odd else None),
    )


def book(dice: Dice, key: int | None) -> Any:
    if key is None or dice.roll(10, "no book", key) == 0:
        return None

    def of(name: str, value: Any) -> Any:
        return spoilt(dice, value, "book", key, name)

    return BookRow(
        key,
        of("title", f"Book {key}"),
        of("pages", key % 700),
        of("genre", dice.roll(3, "genre", key) or None),
        None if dice.trouble("author of", key) else key // 10,
        of("printings", [Printing(n, dice) for n in range(dice.roll(3, "printings", key))]),
    )


def books_of(dice: Dice, key: int, first: int) -> Any:
    books = [found for n in range(first) if (found := book(dice, key * 10 + n))]
    return spoilt(dice, Page(spoilt(dice, books, "page", key, "nodes"), bool(key % 2)), "page", key)


def awards_of(dice: Dice, key: int) -> Any:
    awards = [Award.of(n, key) for n in range(dice.roll(4, "awards", key))]
    if dice.trouble("award", key):
        awards.append(None)  # type: ignore[arg-type]
    return spoilt(dice, awards, "awards", key)


def note_of(dice: Dice, key: int) -> Any:
    return spoilt(dice, f"note {key}" if key % 3 else None, "note", key)


@dataclass
class May:
    """A permission that everybody, nobody, or only readers of some rows hold."""

    name: str

    def decide(self, context: Shelf) -> bool | None:
        return True if self.name in context.permissions else None if "some" in context.permissions else False

    def permits(self, context: Shelf, source: Any) -> bool:
        return self.name in context.permissions or ("some" in context.permissions and source.key % 2 == 0)

    def denied(self, context: Shelf, count: int) -> None:
        context.refused[self.name] += count

    __hash__ = object.__hash__


def batched(query: Callable[..., Any], key: str | None, **options: Any) -> Child:
    def prepare(context: Shelf, keys: Sequence[Any], **_: Any) -> None:
        context.prepared.append((query.__name__, [*keys]))

    return Child(
        key,
        lambda context, keys, **arguments: context.load_many(query, keys, **arguments),
        prepare=prepare,
        **options,
    )


def child(query: Callable[..., Any], key: str) -> Any:
    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        value = getattr(root, key)
        return None if value is None else info.context.load(query, value)

    return strawberry.field(resolver=resolve, metadata={"plan": batched(query, key)})


def part(present: str | None = None) -> Any:
    def resolve(root: strawberry.Parent[Any]) -> Any:
        return root if present is None or getattr(root, present) is not None else None

    return strawberry.field(resolver=resolve, metadata={"plan": Part(present)})


def guarded(name: str, read: Callable[[Any, Info], Any], value: Any, present: str | None = None) -> Any:
    guard = May(name)

    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        if present is not None and getattr(root, present) is None:
            return None
        if guard.permits(info.context, root):
            return read(root, info)
        guard.denied(info.context, 1)
        return None

    return strawberry.field(resolver=resolve, metadata={"plan": Guarded(guard, value, present)})


def global_id(type_name: str) -> Any:
    def resolve(root: strawberry.Parent[Any]) -> strawberry.ID:
        return strawberry.ID(f"{type_name}:{root.key}")

    return strawberry.field(resolver=resolve, metadata={"plan": Computed(lambda key: f"{type_name}:{key}", ("key",))})


@strawberry.interface
class Node:
    id: strawberry.ID

    @staticmethod
    def is_type_of(source: Any, _info: object) -> bool:
        return not isinstance(source, Printing)

    @staticmethod
    def resolve_type(source: Any, _info: object, _abstract: object) -> str:
        return source.node_type


@strawberry.type
class Printing:
    number: int
    dice: strawberry.Private[Any]

    @strawberry.field
    def label(self) -> str:
        if self.dice.trouble("label", self.number):
            raise Mishap("no label")
        return f"printing {self.number}"

    def __init__(self, number: int, dice: Any) -> None:
        self.number, self.dice = number, dice


@strawberry.type
class Award:
    title: str
    year: int | None
    key: strawberry.Private[int]

    @classmethod
    def of(cls, number: int, key: int) -> "Award":
        return cls(title=f"award {number}", year=2000 + number if number else None, key=key)

    @strawberry.field
    async def citation(self, info: Info) -> str | None:
        return await info.context.load(note_of, self.key)


MoodType = strawberry.enum(Mood)
GenreType = strawberry.enum(Genre)


@strawberry.type
class Contact:
    email: str = guarded("email", lambda root, _: root.email, Computed(lambda email: email, ("email",)))
    is_known: bool | None = guarded("known", lambda root, _: True, Computed(lambda _: True, ("key",)), present="email")


@strawberry.type
class Profile:
    age: int | None
    rating: float | None
    scores: list[int | None] | None


First = Annotated[int, strawberry.argument()]


def _first(info: Info, first: int = 2) -> dict[str, Any]:
    return {"first": _checked(first)}


def _checked(first: int) -> int:
    if not 0 <= first <= 5:
        raise Mishap("first is out of range")
    return first


def books() -> Any:
    def resolve(root: strawberry.Parent[Any], info: Info, first: First = 2) -> Any:
        return info.context.load(books_of, root.key, **_first(info, first))

    return strawberry.field(resolver=resolve, metadata={"plan": batched(books_of, "key", arguments=_first)})


@strawberry.type
class Author(Node):
    id: strawberry.ID = global_id("Author")
    key: int
    name: str
    nickname: str | None
    shout: str | None
    mood: Mood
    born: datetime | None
    reference: UUID
    is_active: bool
    tags: list[str]
    profile: Profile = part()
    contact: Contact | None = part("email")
    restricted: Profile | None = guarded("restricted", lambda root, _: root, Part())
    secret: str | None = guarded("secret", lambda root, _: root.nickname, Computed(lambda name: name, ("nickname",)))
    note: str | None = guarded("note", lambda root, info: info.context.load(note_of, root.key), batched(note_of, "key"))
    books: "BookPage | None" = books()
    debut: "Book" = child(book, "debut_key")
    latest: "Book | None" = child(book, "key")
    awards: list[Award] = child(awards_of, "key")
    friend: Node | None

    @strawberry.field
    def greeting(self: Any, info: Info, to: str | None = UNSET) -> str | None:
        if info.context.dice.trouble("greeting", self.key):
            raise Mishap("no greeting")
        return f"{self.key} greets {to or 'all'}"

    @strawberry.field
    async def fame(self: Any, info: Info) -> int:
        await asyncio.sleep(0)
        if info.context.dice.trouble("fame", self.key):
            raise Mishap("no fame")
        return self.key

    @strawberry.field
    def certain(self: Any, info: Info) -> str:
        if info.context.dice.trouble("certain", self.key):
            raise Mishap("not certain")
        return "certain"


@strawberry.type
class Book(Node):
    id: strawberry.ID = global_id("Book")
    title: str
    pages: int | None
    genre: Genre | None
    author: Author = child(author, "author_key")
    printings: list[Printing]


@strawberry.type
class BookEdge:
    cursor: str
    node: Book


@strawberry.type
class BookPage:
    nodes: list[Book]
    edges: list[BookEdge]
    has_next: bool
    info: "PageFacts" = part()

    @strawberry.field
    async def total(self: Any, info: Info) -> int | None:
        return await info.context.load(note_of, -1) and len(self.nodes)


@strawberry.type
class PageFacts:
    has_next: bool


Hit = Annotated[Author | Book, strawberry.union("Hit")]


def shown(read: Callable[[Shelf, Any], Any]) -> Any:
    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        return read(info.context, root)

    return strawberry.field(resolver=resolve, metadata={"plan": Judged(read, ())})


def _sought(info: Info, key: int | None = 1) -> dict[str, Any]:
    return {KEY: _checked_key(key)}


def _checked_key(key: int | None) -> int | None:
    if key == 4:
        raise Mishap("nobody has this key")
    return key


def looked_up() -> Any:
    async def resolve(root: strawberry.Parent[Any], info: Info, key: int | None = 1) -> Any:
        known = _checked_key(key)
        return None if known is None else await info.context.load(author, known)

    declared = batched(author, None, arguments=_sought, identity="key")
    return strawberry.field(resolver=resolve, metadata={"plan": declared})


@strawberry.type
class Query:
    sought: Author | None = looked_up()
    certain: Author = looked_up()
    motto: str | None = shown(lambda shelf, _: spoilt(shelf.dice, "read", "motto"))
    house: str = shown(lambda shelf, _: spoilt(shelf.dice, "Shelf", "house"))
    founder: Author | None = shown(lambda shelf, _: author(shelf.dice, 3))

    @strawberry.field
    async def authors(self, info: Info, first: int = 3) -> list[Author] | None:
        await asyncio.sleep(0)
        return [found for key in range(1, 1 + first) if (found := author(info.context.dice, key))]  # type: ignore[return-value]

    @strawberry.field
    def sparse(self, info: Info) -> list[Author | None]:
        return [author(info.context.dice, key) for key in range(10, 14)]

    @strawberry.field
    async def author(self, info: Info, key: int = 1) -> Author | None:
        return await info.context.load(author, key)

    @strawberry.field
    def books(self, info: Info, first: int = 2) -> BookPage | None:
        return books_of(info.context.dice, 7, _checked(first))

    @strawberry.field
    def hits(self, info: Info) -> list[Node | None] | None:
        return [author(info.context.dice, 5), book(info.context.dice, 50), None, author(info.context.dice, 6)]  # type: ignore[list-item]


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def followed(self, info: Info) -> AsyncIterator[Author | None]:
        for key in range(1, 4):
            yield author(info.context.dice, key)


class Executor(PlanExecutor):
    natives = {"DateTime": Native(datetime), "UUID": Native(UUID)}


SCALARS: dict[Any, Any] = {
    datetime: strawberry.scalar(
        name="DateTime", serialize=lambda value: value.astimezone(UTC).isoformat().replace("+00:00", "Z"), parse_value=str
    ),
    UUID: strawberry.scalar(name="UUID", serialize=str, parse_value=str),
}


class Schema(strawberry.Schema):
    @property
    def executable(self) -> GraphQLSchema:
        return self._schema

    def process_errors(self, errors: Any, execution_context: Any = None) -> None:
        """Nothing: they are looked at."""


def schema(executor: type | None) -> Schema:
    return Schema(
        query=Query,
        subscription=Subscription,
        types=[Author, Book],
        execution_context_class=executor,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
