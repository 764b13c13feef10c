"""Fields that are declared instead of coded: children over a loader, parts of the same row, guarded fields."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from typing import Annotated, Any

import strawberry
from strawberry import UNSET
from strawberry.schema_directive import Location

from gql_server import policy
from gql_server.errors import Forbidden
from gql_server.execution import Computed, Judged
from gql_server.graph.context import Context, Info
from gql_server.graph.selection import load, made_of, read
from gql_server.policy import GUARDS
from gql_server.reads.loaders import KeylessQuery, Query
from gql_server.reads.rows import Attribute


@strawberry.enum(description="What a caller without the permission gets.")
class DenialMode(Enum):
    REDACT = strawberry.enum_value(
        "REDACT", description="Value is null and one aggregated entry is added to `extensions.redactions`. No per-row error."
    )
    ERROR = strawberry.enum_value("ERROR", description="Value is null and an error with code FORBIDDEN is added at this path.")
    HIDE = strawberry.enum_value(
        "HIDE", description="The object behaves as if it did not exist (null from `node`, absent from lists and counts)."
    )
    PROBLEM = strawberry.enum_value("PROBLEM", description="Mutations: the result union carries ForbiddenProblem.")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.OBJECT, Location.INPUT_FIELD_DEFINITION],
    name="access",
    description="Permission needed to read this, or to filter by it. Applied directives are not visible to introspection, so "
    "the same sentence ends the description.",
)
class Access:
    permission: str = strawberry.field(description="Permission key, e.g. `backoffice.pipeline_operations:view`.")
    on_denied: DenialMode = strawberry.field(
        default=DenialMode.REDACT, description="What a caller without the permission gets."
    )


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="semanticNonNull",
    description="Null only on error, never as a value. Clients that treat errors as exceptions may generate a non-null type.",
)
class SemanticNonNull:
    levels: list[int] = strawberry.field(default=(0,), description="Depths of the list at which null means an error.")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="experimental",
    description="Exempt from the deprecation promise: may change or vanish in any release.",
)
class Experimental:
    since: str = strawberry.field(description="Release that brought it.")


First = Annotated[int | None, strawberry.argument(description="Size of the page, from the start of the list.")]
After = Annotated[str | None, strawberry.argument(description="Only what follows this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="Size of the page, from the end of the list.")]
Before = Annotated[str | None, strawberry.argument(description="Only what precedes this cursor.")]


def no_arguments(info: Info) -> dict[str, Any]:
    """For a query that takes none."""
    return {}


@dataclass(frozen=True, slots=True)
class ChildField:
    """Metadata of a declared child: what an executor needs to resolve it for all parents of a list at once.

    `arguments` makes those of the query from those of the field, without side effects. What was loaded may be the key of
    another query, `onward`; `then` makes of it the value that is shown.
    """

    query: Query
    key: str
    arguments: Callable[..., dict[str, Any]] = no_arguments
    missing: object = None
    onward: Query | None = None
    then: Callable[[Context, Any], Any] | None = None

    def load(self, root: Any, info: Info, **given: Any) -> Any:
        """The value for one row, by a batched query."""
        key = getattr(root, self.key)
        if key is None:
            return self.missing
        loaded = load(info, self.query, key, **self.arguments(info, **given))
        return loaded if self.then is None and self.onward is None else self._shown(info, loaded)

    async def _shown(self, info: Info, loaded: Awaitable[Any]) -> Any:
        value = await loaded
        if self.onward is not None and value is not None:
            value = await load(info, self.onward, value)
        return value if self.then is None else self.then(info.context, value)


@dataclass(frozen=True, slots=True)
class LookupField:
    """Metadata of a field that shows what a batched query finds by a key which follows from the arguments; None finds nothing.

    What is found has the key as an attribute, `identity`.
    """

    query: Query
    key: Callable[..., Any]
    identity: str


def lookup(query: Query, *, key: Callable[..., Any], identity: str) -> dict[str, Any]:
    """Metadata of a coded field that can be answered by plan as well, and does the same then. The key may be Unplanned."""
    return {"lookup": LookupField(query, key, identity)}


@dataclass(frozen=True, slots=True)
class ReadField:
    """Metadata of a field that shows what a query without a key finds, with arguments made of those of the field."""

    query: KeylessQuery
    arguments: Callable[..., dict[str, Any]]


def reading(query: KeylessQuery, *, kind: Any, description: str, directives: Sequence[object] = ()) -> Callable[[Any], Any]:
    """Makes a field that shows what a query without a key finds of a function that makes the arguments of the query, without
    side effects, of those of the field. `kind` is its type."""

    def field(arguments: Callable[..., dict[str, Any]]) -> Any:
        arguments = getattr(arguments, "__func__", arguments)

        @wraps(arguments)
        async def resolve(info: Info, **given: Any) -> Any:
            return await read(info, query, **arguments(info, **given))

        metadata = {"read": ReadField(query, arguments)}
        return strawberry.field(
            resolver=resolve, graphql_type=kind, description=description, directives=directives, metadata=metadata
        )

    return field


@dataclass(frozen=True, slots=True)
class GuardedField:
    """Metadata of a guarded field: an attribute, a child, or what is coded, and the attribute without which there is none."""

    coordinate: str
    read: "str | ChildField | Computed | Callable[[Any, Info], Any]"
    present: str | None

    def value(self, root: Any, info: Info) -> Any:
        """Guarded value of one row."""
        match self.read:
            case str(name):
                return getattr(root, name)
            case ChildField() as child:
                return child.load(root, info)
            case Computed(read, attributes):
                return read(*(getattr(root, name) for name in attributes))
            case _:
                return self.read(root, info)


def child(
    query: Query,
    *,
    key: str,
    description: str,
    missing: object = None,
    directives: Sequence[object] = (),
    arguments: Callable[[Info], dict[str, Any]] = no_arguments,
    onward: Query | None = None,
    then: Callable[[Context, Any], Any] | None = None,
    kind: Any = None,
) -> Any:
    """A field answered by a batched query, keyed by an attribute of the parent row; without a key it is `missing`.

    `kind` is its type, else that of the annotation.
    """
    declared = ChildField(query, key, arguments, missing, onward, then)

    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        return declared.load(root, info)

    return strawberry.field(
        resolver=resolve, graphql_type=kind, description=description, directives=directives, metadata={"child": declared}
    )


def child_connection(query: Query, *, key: str, coordinate: str, description: str) -> Any:
    """A paged child: the query gets the window of all parents as its argument."""

    def arguments(info: Info, **given: Any) -> dict[str, Any]:
        return {"window": info.context.window(coordinate, **given)}

    declared = ChildField(query, key, arguments)

    def resolve(
        root: strawberry.Parent[Any],
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> Any:
        return declared.load(root, info, first=first, after=after, last=last, before=before)

    return strawberry.field(
        resolver=resolve,
        description=description,
        directives=[SemanticNonNull()],
        metadata={"child": declared},
    )


def computed(read: Callable[..., Any], *of: Attribute[Any] | str, description: str, kind: Any = None) -> Any:
    """A field that a pure function makes of attributes of the parent row; `kind` is its type, else that of the annotation."""
    reads = made_of(*of)
    declared = Computed(read, reads["made_of"])

    def resolve(root: strawberry.Parent[Any]) -> Any:
        return read(*(getattr(root, name) for name in declared.attributes))

    return strawberry.field(
        resolver=resolve, graphql_type=kind, description=description, metadata={"computed": declared, **reads}
    )


def judged(rule: Callable[[policy.Viewer, Any], Any], *of: Attribute[Any] | str, description: str, kind: Any = None) -> Any:
    """A field that follows from who asks, and from these attributes of the parent row."""
    return of_context(lambda context, row: rule(context.viewer, row), *of, description=description, kind=kind)


def of_context(read: Callable[[Context, Any], Any], *of: Attribute[Any] | str, description: str, kind: Any = None) -> Any:
    """A field that a pure function makes of the context of its operation, and of these attributes of the parent row."""
    reads = made_of(*of)

    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        return read(info.context, root)

    return strawberry.field(
        resolver=resolve,
        graphql_type=kind,
        description=description,
        metadata={"computed": Judged(read, reads["made_of"]), **reads},
    )


def embedded(description: str, *, present: str | None = None) -> Any:
    """An object made of the parent row itself; null when the attribute `present` is null."""

    def resolve(root: strawberry.Parent[Any]) -> Any:
        return root if present is None or getattr(root, present) is not None else None

    return strawberry.field(resolver=resolve, description=description, metadata={"embedded": present})


def guarded(
    coordinate: str,
    description: str,
    read: str | ChildField | Computed | Callable[[Any, Info], Any],
    *,
    of: Sequence[str] = (),
    present: str | None = None,
) -> Any:
    """A nullable field that only some may read; for the others it is null, and counted in `extensions.redactions`.

    It shows an attribute, or what is read `of` some. Where the attribute `present` is null there is nothing to read and nothing
    to deny.
    """
    declared = GuardedField(coordinate, read, present)
    of_read = read.attributes if isinstance(read, Computed) else (read,)
    names = [name for name in (*of_read, present, *of) if isinstance(name, str)]

    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        if present is not None and getattr(root, present) is None:
            return None
        return declared.value(root, info) if may_read(coordinate, root, info) else None

    return strawberry.field(
        resolver=resolve,
        name=coordinate.partition(".")[2],
        description=f"{description} {access_sentence(coordinate)}",
        directives=access(coordinate),
        metadata={"guard": coordinate, "guarded": declared, **made_of(*names)},
    )


def may_read(coordinate: str, root: Any, info: Info) -> bool:
    """True if the viewer may read the coordinate of this row. A refusal is noted; where the policy says ERROR it is raised."""
    guard = GUARDS[coordinate]
    if policy.permits(info.context.viewer, guard, root):
        return True
    if guard.on_denied is policy.DenialMode.ERROR:
        raise _forbidden(guard)
    info.context.redact(coordinate)
    return False


def guarded_filter(coordinate: str, description: str) -> Any:
    """A clause of a filter that only some may use; `check_filter` refuses the others."""
    return strawberry.field(
        default=UNSET, description=f"{description} {access_sentence(coordinate)}", directives=access(coordinate)
    )


def check_filter(viewer: policy.Viewer, coordinate: str, about: Any = None) -> None:
    """Raises Forbidden unless the viewer may filter by the coordinate; `about` has the unit or module that is asked for."""
    guard = GUARDS[coordinate]
    if not policy.permits(viewer, guard, about):
        raise _forbidden(guard, coordinate=coordinate)


def _forbidden(guard: policy.Guard, **details: object) -> Forbidden:
    return Forbidden(f"You need the permission `{guard.permission}`.", permission=guard.permission, **details)


def access_sentence(coordinate: str) -> str:
    return f"Needs `{GUARDS[coordinate].permission}`."


def access(coordinate: str) -> list[Access]:
    """The directive that says in the SDL what guards this coordinate."""
    guard = GUARDS[coordinate]
    return [Access(permission=guard.permission, on_denied=DenialMode[guard.on_denied.name])]
