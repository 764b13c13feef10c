"""One way to run every mutation: the command once for its key, then its payload read afresh, or what refused it."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any, Protocol, cast
from uuid import UUID

import strawberry
from strawberry import UNSET

from gql_server.commands.execution import Command
from gql_server.commands.idempotency import Key
from gql_server.errors import BadInput, NotFound, PublicError
from gql_server.graph.context import Context, Info
from gql_server.graph.fields import Experimental, SemanticNonNull, access, access_sentence
from gql_server.graph.problems import problem


class Input(Protocol):
    """The input of a mutation: a dataclass with a key of the client's."""

    idempotency_key: UUID | None


def idempotency_key() -> Any:
    """The field that every input has."""
    return strawberry.field(
        default=UNSET,
        description="A key of your own for this one use. Sent again within a day, what was done is not done twice, and the "
        "result is the first one's; a refusal is not kept.",
    )


def mutation(
    coordinate: str, description: str, *, experimental_since: str | None = None, **options: Any
) -> Callable[[Callable[..., Any]], Any]:
    """A field of the root that only some may use; the others get a problem."""
    experimental = [Experimental(since=experimental_since)] if experimental_since else []

    def declare(resolver: Callable[..., Any]) -> Any:
        return strawberry.mutation(
            resolver=resolver,
            name=coordinate.partition(".")[2],
            description=f"{description} {access_sentence(coordinate)}",
            directives=[*access(coordinate), SemanticNonNull(), *experimental],
            **options,
        )

    return declare


def argument(description: str) -> Any:
    """The metadata of the one argument of a mutation."""
    return strawberry.argument(description=description)


async def resolve(info: Info, input: Input, command: Command, payload: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run the command, then make the payload from its outcome, which is JSON. A refusal becomes a problem."""
    context = info.context

    async def result() -> Any:
        outcome = await context.commands.run(context.viewer, command, key_of(info.field_name, input))
        context.forget()
        return await payload(outcome)

    return await answer(context, type(input).__name__, result(), input)


async def answer(context: Context, input_name: str, result: Awaitable[Any], input: object = None) -> Any:
    """The result, or the problem that a refusal is."""
    try:
        return await result
    except PublicError as error:
        context.forget()
        return await problem(context, error, input_name, input)


def key_of(mutation: str, input: Any) -> Key | None:
    """The client's key, with a digest of the rest of the input."""
    if not input.idempotency_key:
        return None
    rest = replace(input, idempotency_key=None)
    text = json.dumps(asdict(rest, dict_factory=_given_values), sort_keys=True, default=repr)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Key(mutation, input.idempotency_key, digest)


def _given_values(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Left out is the same as null."""
    return {name: value for name, value in items if value is not None and value is not UNSET}


@contextmanager
def about(field: str) -> Generator[None]:
    """Names the field of the input that is at fault."""
    try:
        yield
    except BadInput as error:
        raise BadInput(error.message, **{"argument": field, **error.details}) from None


def members(value: object, field: str, path: str = "") -> dict[str, Any] | None:
    """A JSON value that must be an object; None when it was left out. Raises BadInput."""
    if value is None or value is UNSET:
        return None
    if not isinstance(value, dict):
        raise BadInput("this must be a JSON object", argument=field, path=path)
    return cast(dict[str, Any], value)


def still_visible(row: Any) -> Any:
    """The row. Raises NotFound when the viewer does not see it any more."""
    if row is None:
        raise NotFound("what this changed is not visible any more")
    return row
