"""Documents made up from a seed, over any schema: aliases, fragments, directives, variables."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    ObjectValueNode,
    ValueNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
    parse_value,
    print_ast,
    value_from_ast_untyped,
)

Arguments = Callable[[str, str, str], list[str]]
"""Values that may be given for an argument, by its coordinate such as `Query.author(key:)`, its name and its type."""


class Documents:
    """Makes documents that are valid and not too large."""

    def __init__(self, schema: GraphQLSchema, arguments: Arguments, leave_out: frozenset[str] = frozenset()) -> None:
        self._schema, self._arguments, self._leave_out = schema, arguments, leave_out

    def make(self, seed: int, kind: str = "query") -> tuple[str, dict[str, Any]]:
        """A document and its variables."""
        root = {"query": self._schema.query_type, "subscription": self._schema.subscription_type}[kind]
        assert root is not None
        return _Document(self._schema, self._arguments, self._leave_out, Random(seed)).of(root, kind)


class _Document:
    def __init__(self, schema: GraphQLSchema, arguments: Arguments, leave_out: frozenset[str], random: Random) -> None:
        self._schema, self._arguments, self._leave_out, self._random = schema, arguments, leave_out, random
        self._fragments: dict[str, str] = {}
        self._types: dict[str, str] = {}
        self._variables: dict[str, Any] = {}
        self._budget = random.choice([4, 10, 20, 50])
        self._depth = random.randint(2, 6)

    def of(self, root: GraphQLObjectType, kind: str) -> tuple[str, dict[str, Any]]:
        if kind == "subscription":
            name = self._random.choice(sorted(self._fields(root)))
            selection = f"{{ {self._field(root, name, root.fields[name], 0, with_directive=False)} }}"
        else:
            selection = self._selection(root, 0)
        declared = ", ".join(f"${name}: {type_name}" for name, type_name in self._types.items())
        operation = f"{kind} Made{f'({declared})' if declared else ''} {selection}"
        return "\n".join([operation, *self._fragments.values()]), dict(self._variables)

    def _selection(self, owner: GraphQLNamedType, depth: int) -> str:
        """Duplicate response keys are avoided by aliases, so that fields always merge."""
        fields = self._fields(owner)
        count = self._random.randint(1, min(8, max(1, len(fields))))
        parts = [self._wrapped(owner, fields, depth) for _ in range(count)]
        if not parts or self._random.random() < 0.1:
            parts.append("__typename")
        return f"{{ {' '.join(parts)} }}"

    def _fields(self, owner: GraphQLNamedType) -> dict[str, GraphQLField]:
        if isinstance(owner, GraphQLObjectType | GraphQLInterfaceType):
            return {
                name: field
                for name, field in owner.fields.items()
                if self._leave_out.isdisjoint({f"{owner.name}.{name}", get_named_type(field.type).name})
            }
        return {}

    def _wrapped(self, owner: GraphQLNamedType, fields: Mapping[str, GraphQLField], depth: int) -> str:
        """A field, perhaps in a fragment of its own."""
        chance = self._random.random()
        if isinstance(owner, GraphQLUnionType | GraphQLInterfaceType) and chance < 0.6:
            narrow = self._random.choice(sorted(self._schema.get_possible_types(owner), key=lambda each: each.name))
            return f"... on {narrow.name}{self._directive()} {self._selection(narrow, depth)}"
        if not fields:
            return "__typename"
        name = self._random.choice(sorted(fields))
        field = self._field(owner, name, fields[name], depth)
        if chance < 0.08:
            return f"... {self._directive()} {{ {field} }}"
        if chance < 0.16:
            fragment = f"F{len(self._fragments)}"
            self._fragments[fragment] = f"fragment {fragment} on {owner.name} {{ {field} }}"
            again = f" ...{fragment}" if chance < 0.1 else ""
            return f"...{fragment}{self._directive()}{again}"
        return field

    def _field(
        self, owner: GraphQLNamedType, name: str, field: GraphQLField, depth: int, *, with_directive: bool = True
    ) -> str:
        self._budget -= 1
        inside = get_named_type(field.type)
        if not is_leaf_type(inside) and (depth >= self._depth or self._budget < 0):
            return "__typename"
        given = self._given(f"{owner.name}.{name}", field)
        alias = f"{name}_{self._random.randrange(10**6)}: " if given or self._random.random() < 0.7 else f"{name}Plain: "
        if alias.startswith(f"{name}Plain") and not is_leaf_type(inside):
            alias = f"{name}_{self._random.randrange(10**6)}: "
        selection = "" if is_leaf_type(inside) else f" {self._selection(inside, depth + 1)}"
        directive = self._directive() if with_directive else ""
        return f"{alias}{name}{given}{directive}{selection}"

    def _given(self, coordinate: str, field: GraphQLField) -> str:
        given: list[str] = []
        for name, argument in field.args.items():
            known = self._arguments(f"{coordinate}({name}:)", name, str(argument.type))
            if known and (is_required_argument(argument) or self._random.random() < 0.5):
                given.append(f"{name}: {self._value(argument.type, self._random.choice(known))}")
            elif is_required_argument(argument):
                raise LookupError(f"nothing is known of {coordinate}({name}:)")
        return f"({', '.join(given)})" if given else ""

    def _value(self, type_: GraphQLInputType, literal: str) -> str:
        """The literal, or a variable in place of it, or of a part of it."""
        if self._random.random() < 0.5:
            return literal
        node, nullable = parse_value(literal), get_nullable_type(type_)
        if not (isinstance(node, ObjectValueNode) and node.fields and isinstance(nullable, GraphQLInputObjectType)):
            return self._variable(type_, node)
        varied = self._random.choice(node.fields)
        parts = {each.name.value: print_ast(each.value) for each in node.fields}
        name = varied.name.value
        parts[name] = self._variable(GraphQLNonNull(get_nullable_type(nullable.fields[name].type)), varied.value)
        return f"{{ {', '.join(f'{name}: {value}' for name, value in parts.items())} }}"

    def _variable(self, type_: GraphQLInputType, node: ValueNode) -> str:
        value = value_from_ast_untyped(node)
        if isinstance(type_, GraphQLNonNull) and value is None:
            return print_ast(node)
        name = f"a{len(self._types)}"
        self._types[name] = str(type_)
        if isinstance(type_, GraphQLNonNull) or self._random.random() < 0.8:
            self._variables[name] = value
        return f"${name}"

    def _directive(self) -> str:
        if self._random.random() > 0.12:
            return ""
        name = self._random.choice(["include", "skip"])
        if self._random.random() < 0.3:
            return f" @{name}(if: {self._random.choice(['true', 'false'])})"
        variable = f"v{self._random.randrange(3)}"
        self._types[variable] = "Boolean!"
        self._variables.setdefault(variable, self._random.random() < 0.5)
        return f" @{name}(if: ${variable})"
