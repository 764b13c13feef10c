"""Operations made from the schema: every field of every type, for whatever can be reached from the root or by a global id."""

from collections.abc import Callable, Collection, Iterator, Set
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_interface_type,
    is_leaf_type,
    is_object_type,
    is_union_type,
)

from gql_server.graph.document_limits import LIMITS

Argue = Callable[[str, GraphQLArgument], str | None]
"""The literal to give for an argument, by its coordinate and definition; None leaves it out."""


class Walk:
    """Selections on a schema, but for those fields, or fields of those types, that are left out."""

    def __init__(self, schema: GraphQLSchema, argue: Argue, left_out: Set[str]) -> None:
        self.schema = schema
        self.argue = argue
        self.left_out = left_out
        self.covered: set[str] = set()

    @property
    def not_compared(self) -> set[str]:
        """Fields of every type that are left out on purpose."""
        owners = [type_ for type_ in self.schema.type_map.values() if is_object_type(type_)]
        return {
            f"{type_.name}.{name}"
            for type_ in owners
            for name, each in type_.fields.items()
            if not self._is_compared(type_.name, name, each)
        }

    def reachable(self) -> set[str]:
        """Fields of every type that a query can come to."""
        found: dict[str, GraphQLObjectType] = {}
        ahead: list[Any] = [self.schema.query_type]
        while ahead:
            type_ = get_named_type(ahead.pop())
            if is_interface_type(type_) or is_union_type(type_):
                ahead.extend(self.schema.get_possible_types(type_))
            elif is_object_type(type_) and type_.name not in found and type_.name not in self.left_out:
                found[type_.name] = type_
                ahead.extend(field.type for field in type_.fields.values())
        return {f"{type_.name}.{name}" for type_ in found.values() for name in type_.fields}

    @property
    def node_types(self) -> list[GraphQLObjectType]:
        return sorted(self.schema.get_possible_types(self._node), key=lambda type_: type_.name)

    @property
    def _node(self) -> GraphQLInterfaceType:
        node = self.schema.type_map["Node"]
        assert isinstance(node, GraphQLInterfaceType)
        return node

    def root_fields(self) -> Iterator[tuple[str, str]]:
        """Each field of the root, but those that name one node, with the operation that reads all of it."""
        assert self.schema.query_type is not None
        for name, field in self.schema.query_type.fields.items():
            if self._is_compared("Query", name, field):
                self.covered.add(f"Query.{name}")
                yield name, f"{{ __typename {name}{self._given('Query', name, field)}{self._selected(field.type)} }}"

    def node_documents(self, type_: GraphQLObjectType, ids: Collection[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """Operations, within the limits of one, that read those nodes in full."""
        fragment = f"fragment All on {type_.name} {{ {self.fields_of(type_)} }}"
        size = max(1, min(LIMITS.root_fields, LIMITS.fields // (2 * fragment.count(" "))))
        chosen = sorted(ids)
        for chunk in (chosen[start : start + size] for start in range(0, len(chosen), size)):
            variables = ", ".join(f"$i{n}: ID!" for n in range(len(chunk)))
            fields = " ".join(f"n{n}: node(id: $i{n}) {{ __typename id ...All }}" for n in range(len(chunk)))
            yield f"query ({variables}) {{ {fields} }} {fragment}", {f"i{n}": id for n, id in enumerate(chunk)}

    def fields_of(self, type_: GraphQLObjectType, seen: tuple[str, ...] = ()) -> str:
        """Every field of a type: values inside it in full, nodes and lists of nodes by their ids."""
        selected = ["__typename"]
        for name, field in type_.fields.items():
            named = get_named_type(field.type)
            if self._is_compared(type_.name, name, field) and (named.name not in seen or self._is_node(named)):
                self.covered.add(f"{type_.name}.{name}")
                selected.append(
                    f"{name}{self._given(type_.name, name, field)}{self._selected(field.type, (*seen, type_.name))}"
                )
        return " ".join(selected)

    def _is_compared(self, owner: str, name: str, field: GraphQLField) -> bool:
        return self.left_out.isdisjoint({get_named_type(field.type).name, f"{owner}.{name}"})

    def _is_node(self, type_: GraphQLNamedType) -> bool:
        return type_ is self._node or (is_object_type(type_) and self._node in type_.interfaces)

    def _selected(self, type_: Any, seen: tuple[str, ...] = ()) -> str:
        named: GraphQLNamedType = get_named_type(type_)
        if is_leaf_type(named):
            return ""
        if self._is_node(named):
            return " { __typename id }"
        if is_object_type(named):
            return f" {{ {self.fields_of(named, seen)} }}"
        assert is_interface_type(named) or is_union_type(named)
        members = self.schema.get_possible_types(named)
        return f" {{ __typename {' '.join(f'... on {each.name} {{ {self.fields_of(each, seen)} }}' for each in members)} }}"

    def _given(self, owner: str, name: str, field: GraphQLField) -> str:
        literals = {key: self.argue(f"{owner}.{name}({key}:)", argument) for key, argument in field.args.items()}
        given = [f"{key}: {literal}" for key, literal in literals.items() if literal is not None]
        return f"({', '.join(given)})" if given else ""


class Trail(Walk):
    """Selections that lead to nodes, and nothing else of what is on the way."""

    def _is_compared(self, owner: str, name: str, field: GraphQLField) -> bool:
        return super()._is_compared(owner, name, field) and self._leads(get_named_type(field.type), frozenset())

    def _leads(self, type_: GraphQLNamedType, seen: Set[str]) -> bool:
        """True if there are nodes in a value of that type, or it is one."""
        if self._is_node(type_) or is_leaf_type(type_) or type_.name in seen:
            return self._is_node(type_)
        if not is_object_type(type_):
            return any(self._leads(each, seen | {type_.name}) for each in self.schema.get_possible_types(type_))  # type: ignore[arg-type]
        return any(self._leads(get_named_type(each.type), seen | {type_.name}) for each in type_.fields.values())


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of an answer that says its type."""
    if isinstance(value, dict):
        if "__typename" in value:
            yield value
        for each in value.values():
            yield from objects(each)
    elif isinstance(value, list):
        for each in value:
            yield from objects(each)
