"""Fields as the plan executor knows them, from what they were declared with."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, ClassVar, cast
from uuid import UUID

from strawberry.types.field import StrawberryField

from gql_server import policy
from gql_server.execution import KEY, Attribute, Child, Computed, Declared, Guarded, Judged, Native, Part, PlanExecutor
from gql_server.graph.context import Context, Info
from gql_server.graph.fields import ChildField, GuardedField, LookupField, ReadField, no_arguments
from gql_server.graph.nodes import encode
from gql_server.graph.selection import asked
from gql_server.policy import GUARDS
from gql_server.policy.guards import alternatives, is_constant
from gql_server.reads.loaders import Query

DECISIONS_KEPT = 4096
Load = Callable[..., Awaitable[Sequence[Any]]]


class Executor(PlanExecutor):
    """Times, UUIDs and texts of the graph are left to the encoder."""

    natives: ClassVar[Mapping[str, Native]] = {
        "DateTime": Native(datetime, lambda values: set(map(attrgetter("tzinfo"), values)) <= {UTC}),
        "UUID": Native(UUID),
        "FeedToken": Native(str),
        "SchemaCoordinate": Native(str),
    }

    @staticmethod
    def declared(field: StrawberryField) -> Declared | None:
        metadata = cast(Mapping[str, Any], field.metadata)
        guarded: GuardedField | None = metadata.get("guarded")
        return _guarded(guarded) if guarded else _value(metadata)


@dataclass(frozen=True, slots=True)
class FieldGuard:
    """The permission of a coordinate that is redacted for those who lack it."""

    coordinate: str

    def decide(self, context: Context) -> bool | None:
        return _decided(self.coordinate, context.viewer.permissions)

    def permits(self, context: Context, source: Any) -> bool:
        return policy.permits(context.viewer, GUARDS[self.coordinate], source)

    def denied(self, context: Context, count: int) -> None:
        context.redact(self.coordinate, count)


@lru_cache(maxsize=DECISIONS_KEPT)
def _decided(coordinate: str, permissions: frozenset[str]) -> bool | None:
    """True if these permissions let the coordinate be read whatever the row; None when it depends on the row."""
    guard, viewer = GUARDS[coordinate], policy.Viewer("", "", permissions)
    if any(is_constant(term) and viewer.may(term) for term in alternatives(guard.permission)):
        return True
    return False if policy.reach(viewer, guard) is policy.Reach.NONE else None


def _guarded(field: GuardedField) -> Declared | None:
    """None where a denial is an error of its own for each row, and where something is coded."""
    if GUARDS[field.coordinate].on_denied is policy.DenialMode.ERROR:
        return None
    match field.read:
        case str(name):
            value = Attribute(name)
        case ChildField() as child:
            value = _child(child)
        case Computed() as value:
            pass
        case _:
            return None
    return Guarded(FieldGuard(field.coordinate), value, field.present)


def _value(metadata: Mapping[str, Any]) -> Computed | Judged | Part | Child | None:
    match metadata:
        case {"plan": Child() as declared}:
            return declared
        case {"child": ChildField() as child}:
            return _child(child)
        case {"lookup": LookupField() as looked_up}:
            return _lookup(looked_up)
        case {"read": ReadField() as found}:
            return _read(found)
        case {"embedded": present}:
            return Part(present)
        case {"global_id": key}:
            return Computed(encode, ("node_type", key))
        case {"computed": Computed() | Judged() as computed}:
            return computed
        case _:
            return None


def _child(field: ChildField) -> Child:
    read = _reading(field) if field.onward is None else _reading_onward(field, field.onward)
    prepare = _preparing(field.query) if field.onward is None else None
    return Child(field.key, *read, field.missing, field.arguments is no_arguments, field.then, prepare=prepare)


def _lookup(field: LookupField) -> Child:
    def arguments(info: Info, **given: Any) -> dict[str, Any]:
        return {KEY: field.key(*given.values()), **asked(info, field.query, {})}

    return Child(None, _loading(field.query), arguments, identity=field.identity)


def _read(field: ReadField) -> Child:
    def load(context: Context, keys: Sequence[Any], **arguments: Any) -> Awaitable[Sequence[Any]]:
        found = context.alone(field.query, **arguments)
        return found if len(keys) == 1 else _repeated(found, len(keys))

    def arguments(info: Info, **given: Any) -> dict[str, Any]:
        return {KEY: (), **asked(info, field.query, field.arguments(info, **given))}

    return Child(None, load, arguments)


async def _repeated(found: Awaitable[Sequence[Any]], times: int) -> Sequence[Any]:
    return [*await found] * times


def _reading(field: ChildField) -> tuple[Load, Callable[..., Mapping[str, Any]]]:
    def arguments(info: Info, **given: Any) -> dict[str, Any]:
        return asked(info, field.query, field.arguments(info, **given))

    return _loading(field.query), arguments


def _loading(query: Query) -> Load:
    def load(context: Context, keys: Sequence[Any], **arguments: Any) -> Awaitable[Sequence[Any]]:
        return context.values(query, keys, **arguments)

    return load


def _preparing(query: Query) -> Callable[..., None]:
    def prepare(context: Context, keys: Sequence[Any], **arguments: Any) -> None:
        context.prepare(query, keys, **arguments)

    return prepare


def _reading_onward(field: ChildField, onward: Query) -> tuple[Load, Callable[..., Mapping[str, Any]]]:
    load_keys, arguments_of_keys = _reading(field)

    async def load(context: Context, keys: Sequence[Any], arguments: dict[str, Any], then: dict[str, Any]) -> Sequence[Any]:
        return await _loaded_onward(context, onward, await load_keys(context, keys, **arguments), then)

    def arguments(info: Info, **given: Any) -> dict[str, Any]:
        return {"arguments": arguments_of_keys(info, **given), "then": asked(info, onward, {})}

    return load, arguments


async def _loaded_onward(context: Context, query: Query, keys: Sequence[Any], arguments: dict[str, Any]) -> Sequence[Any]:
    """The values of the query for these keys, null for null."""
    known = [key for key in keys if key is not None]
    values = iter(await context.values(query, known, **arguments) if known else ())
    return [None if key is None else next(values) for key in keys]
