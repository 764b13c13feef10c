"""Declarations of fields: what a plan needs to know to answer a field for all objects of a list at once.

A Strawberry field without a resolver needs none: it is the attribute of its name. For others, `PlanExecutor.declared` gives
one of these, by default what stands in the field's metadata under `plan`. One that declares nothing is graphql-core's.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Attribute:
    """The attribute of that name of the object."""

    name: str


@dataclass(frozen=True, slots=True)
class Computed:
    """A pure function of attributes of the object, given in that order."""

    read: Callable[..., Any]
    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A pure function of the context and the object, which reads these attributes of it."""

    read: Callable[[Any, Any], Any]
    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The object itself, shown as another type; null where the attribute `present` is null."""

    present: str | None = None


def no_arguments(_info: Any) -> Mapping[str, Any]:
    """For a load that takes none."""
    return {}


KEY = "key"
"""Name under which arguments say by which key an object is loaded."""


@dataclass(frozen=True, slots=True)
class Child:
    """Child field that one call answers for the keys of all objects, in their order; an object whose key is null gets
    `missing`.

    `arguments(info, **arguments of the field)` says once for all objects with which arguments `load(context, keys, …)` is
    called. It has no side effects, and leaves what it is given as it is, which may be kept; so is what it says, if that follows
    from the selection alone. The load begins with the call, if that returns a future, which must be this caller's alone: it is
    cancelled where its answer is in vain. `then` makes of the context and a value that was loaded the one that is shown.

    Where there is no attribute `key`, what `arguments` says of `KEY` is the key, and not an argument of the load. `identity` is
    the attribute of the objects that is the key itself: their children by that key are asked for together with them, by
    `prepare`, which is called like `load` and lets later loads know what it has asked for.
    """

    key: str | None
    load: Callable[..., Awaitable[Sequence[Any]]]
    arguments: Callable[..., Mapping[str, Any]] = no_arguments
    missing: object = None
    is_of_selection: bool = False
    then: Callable[[Any, Any], Any] | None = None
    identity: str | None = None
    prepare: Callable[..., None] | None = None


class Guard(Protocol):
    """A permission that a field needs. A denied value is null."""

    def decide(self, context: Any) -> bool | None:
        """True if it is held for every object; None when that depends on the object."""
        ...

    def permits(self, context: Any, source: Any) -> bool:
        """True if it is held for this object. Notes nothing."""
        ...

    def denied(self, context: Any, count: int) -> None:
        """Notes so many denials."""
        ...


@dataclass(frozen=True, slots=True)
class Guarded:
    """A field that only some may read. Where the attribute `present` is null there is nothing to deny."""

    guard: Guard
    value: Attribute | Computed | Judged | Part | Child
    present: str | None = None


Declared = Attribute | Computed | Judged | Part | Child | Guarded
