"""A schema definition as a reference looks things up in it: types by kind, what uses a type, examples of a field, words."""

# graphql-core does not say what its wrapping types wrap
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from graphql import (
    FieldNode,
    GraphQLDirective,
    GraphQLNamedType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    is_specified_directive,
    is_specified_scalar_type,
    parse,
    visit,
)

from gql_server.graph.cost.deprecations import Removal, deprecations

KINDS = {
    "object": "Objects",
    "interface": "Interfaces",
    "union": "Unions",
    "enum": "Enums",
    "input_object": "Inputs",
    "scalar": "Scalars",
}
FOUND_MAX = 100

Element = GraphQLNamedType | GraphQLDirective


@dataclass(frozen=True)
class SchemaIndex:
    """The schema, and operations that are examples of it by their name."""

    definition: str
    operations: Mapping[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def schema(self) -> GraphQLSchema:
        return build_schema(self.definition)

    @cached_property
    def elements(self) -> dict[str, Element]:
        """Types and directives of ours by the names that their pages have."""
        types = {name: each for name, each in sorted(self.schema.type_map.items()) if _is_shown(each)}
        directives = {f"@{each.name}": each for each in self.schema.directives if not is_specified_directive(each)}
        return {**types, **directives}

    @cached_property
    def roots(self) -> list[GraphQLNamedType]:
        """The types where operations begin."""
        roots = (self.schema.query_type, self.schema.mutation_type, self.schema.subscription_type)
        return [each for each in roots if each is not None]

    @cached_property
    def kinds(self) -> dict[str, list[str]]:
        """Names of types by the heading that they stand under."""
        found: dict[str, list[str]] = {heading: [] for heading in [*KINDS.values(), "Directives"]}
        for name, element in self.elements.items():
            if element not in self.roots:
                found[_heading(element)].append(name)
        return found

    @cached_property
    def uses(self) -> dict[str, list[str]]:
        """Coordinates of what is of a type, or takes one, by its name."""
        found: dict[str, list[str]] = defaultdict(list)
        for name, each in self.elements.items():
            for member, value in getattr(each, "fields", {}).items():
                found[get_named_type(value.type).name].append(f"{name}.{member}")
                for argument in getattr(value, "args", {}).values():
                    found[get_named_type(argument.type).name].append(f"{name}.{member}")
            for part in getattr(each, "types", ()):
                found[part.name].append(name)
        return {name: sorted({*coordinates}) for name, coordinates in found.items()}

    @cached_property
    def examples(self) -> dict[str, list[str]]:
        """Names of operations by the coordinate of each field that they select."""
        found: dict[str, list[str]] = defaultdict(list)
        for name, text in self.operations.items():
            for coordinate in dict.fromkeys(_selected(self.schema, text)):
                found[coordinate].append(name)
        return found

    @property
    def removals(self) -> list[Removal]:
        return deprecations(self.schema)

    def search(self, text: str) -> list[tuple[str, str]]:
        """Coordinates that have the words, with their descriptions: in their names first, then in what is said of them."""
        words = text.lower().split()
        named = [each for each in self._described if all(word in each[0].lower() for word in words)]
        said = [each for each in self._described if each not in named and all(word in each[1].lower() for word in words)]
        return (named + said)[:FOUND_MAX]

    @cached_property
    def _described(self) -> list[tuple[str, str]]:
        return [(coordinate, description or "") for coordinate, description in self._nameable()]

    def _nameable(self) -> Iterator[tuple[str, str | None]]:
        for name, each in self.elements.items():
            yield name, each.description
            members = getattr(each, "fields", None) or getattr(each, "values", {})
            yield from ((f"{name}.{member}", value.description) for member, value in members.items())


def _is_shown(type_: GraphQLNamedType) -> bool:
    return not (type_.name.startswith("__") or is_specified_scalar_type(type_))


def _heading(element: Element) -> str:
    return "Directives" if isinstance(element, GraphQLDirective) else KINDS[kind_of(element)]


def kind_of(type_: GraphQLNamedType) -> str:
    """Kind of a type, as its class says it."""
    words = type(type_).__name__.removeprefix("GraphQL").removesuffix("Type")
    return "input_object" if words == "InputObject" else words.lower()


def _selected(schema: GraphQLSchema, text: str) -> list[str]:
    info, found = TypeInfo(schema), list[str]()

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: object) -> None:
            if (parent := info.get_parent_type()) is not None:
                found.append(f"{parent.name}.{node.name.value}")

    visit(parse(text), TypeInfoVisitor(info, Fields()))
    return found
