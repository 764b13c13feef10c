"""Operations made from the schema: every field of every type, for whatever can be reached from the root or by a global id."""

from collections.abc import Collection, Iterator, Mapping
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
    is_required_argument,
    is_union_type,
)

from gql_server.limits import LIMITS

# What differs between two databases or two moments, or is about the caller and not about what they see.
NOT_COMPARED = {"FeedToken", "Permission", "Viewer"}


class Walk:
    """Selections on a schema. Required arguments are taken from `arguments`, by coordinate or by type."""

    def __init__(self, schema: GraphQLSchema, arguments: Mapping[str, str]) -> None:
        self.schema = schema
        self.arguments = arguments
        self.covered: set[str] = set()

    @property
    def not_compared(self) -> set[str]:
        """Fields of every type that are left out on purpose."""
        owners = [type_ for type_ in self.schema.type_map.values() if is_object_type(type_)]
        return {
            f"{type_.name}.{name}" for type_ in owners for name, each in type_.fields.items() if not self._is_compared(each)
        }

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
            if self._is_compared(field):
                self.covered.add(f"Query.{name}")
                yield name, f"{{ __typename {name}{self._given('Query', name, field)}{self._selected(field.type)} }}"

    def node_documents(self, type_: GraphQLObjectType, ids: Collection[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """Operations, within the limits of one, that read those nodes in full."""
        fragment = f"fragment All on {type_.name} {{ {self.fields_of(type_)} }}"
        size = max(1, min(LIMITS.width, LIMITS.fields // (2 * fragment.count(" "))))
        chosen = sorted(ids)
        for chunk in (chosen[start : start + size] for start in range(0, len(chosen), size)):
            variables = ", ".join(f"$i{n}: ID!" for n in range(len(chunk)))
            fields = " ".join(f"n{n}: node(id: $i{n}) {{ __typename id ...All }}" for n in range(len(chunk)))
            yield f"query ({variables}) {{ {fields} }} {fragment}", {f"i{n}": id for n, id in enumerate(chunk)}

    def fields_of(self, type_: GraphQLObjectType, seen: tuple[str, ...] = ()) -> str:
        """Every field of a type: values inside it in full, nodes and lists of nodes by their ids."""
        selected = ["__typename"]
        for name, field in type_.fields.items():
            if self._is_compared(field) and get_named_type(field.type).name not in seen:
                self.covered.add(f"{type_.name}.{name}")
                selected.append(
                    f"{name}{self._given(type_.name, name, field)}{self._selected(field.type, (*seen, type_.name))}"
                )
        return " ".join(selected)

    def _is_compared(self, field: GraphQLField) -> bool:
        return get_named_type(field.type).name not in NOT_COMPARED

    def _selected(self, type_: Any, seen: tuple[str, ...] = ()) -> str:
        named: GraphQLNamedType = get_named_type(type_)
        if is_leaf_type(named):
            return ""
        if named is self._node or (is_object_type(named) and self._node in named.interfaces):
            return " { __typename id }"
        if is_object_type(named):
            return f" {{ {self.fields_of(named, seen)} }}"
        assert is_interface_type(named) or is_union_type(named)
        members = self.schema.get_possible_types(named)
        return f" {{ __typename {' '.join(f'... on {each.name} {{ {self.fields_of(each, seen)} }}' for each in members)} }}"

    def _given(self, owner: str, name: str, field: GraphQLField) -> str:
        given = {
            key: self._value(f"{owner}.{name}({key}:)", argument)
            for key, argument in field.args.items()
            if is_required_argument(argument) or f"{owner}.{name}({key}:)" in self.arguments
        }
        return f"({', '.join(f'{key}: {value}' for key, value in given.items())})" if given else ""

    def _value(self, coordinate: str, argument: GraphQLArgument) -> str:
        for known in (coordinate, str(argument.type)):
            if known in self.arguments:
                return self.arguments[known]
        raise AssertionError(
            f"tests/policy does not know a value for {coordinate} of type {argument.type}: add one to ARGUMENTS"
        )


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
