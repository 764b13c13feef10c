"""Rules on permissions: everything has its policy, and says so."""

# graphql-core does not say what its wrapping types wrap
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator

from graphql import (
    DirectiveNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    is_non_null_type,
)

from gql_server.graph.lint.elements import Complaints, objects
from gql_server.policy import GUARDS, INPUTS, PAGING, POLICY, DenialMode

TABLE = "gql_server/policy/table.py"
INPUT_TABLE = "gql_server/policy/inputs.py"


def governed(schema: GraphQLSchema) -> Complaints:
    """Every object type and field has its line in the policy, and every line its field."""
    types = {type_.name: frozenset(type_.fields) for type_ in objects(schema)}
    for name, fields in types.items():
        if name not in POLICY:
            yield f'{name} has no policy: add `"{name}": rule("{" ".join(sorted(fields))}"),` to POLICY in {TABLE}.'
            continue
        known = POLICY[name].open | POLICY[name].guarded.keys()
        for field in sorted(fields - known):
            yield (
                f'{name}.{field} has no policy: in {TABLE}, add `{field}` to the open fields of "{name}" if who sees the '
                f"object may read it, else `{field}=PERMISSION` (and declare it with `fields.guarded`)."
            )
        for field in sorted((known - fields) | (POLICY[name].open & POLICY[name].guarded.keys())):
            yield f'{name}.{field} is in the policy but not, or twice: remove `{field}` from "{name}" in {TABLE}.'
    for name in sorted(POLICY.keys() - types):
        yield f'{name} is in the policy but not in the schema: remove "{name}" from {TABLE}.'


def attributed(schema: GraphQLSchema) -> Complaints:
    """Every argument and input field says whether it depends on the subject, and nothing else is said to."""
    asked = dict(_inputs(schema))
    for owner, names in asked.items():
        said = INPUTS[owner].alike | INPUTS[owner].by_subject if owner in INPUTS else frozenset[str]()
        for name in sorted(names - said):
            yield (
                f"{owner}: does `{name}` depend on who asks, beyond what they may see? Add it to {INPUT_TABLE}, among the "
                "names that are alike for everyone, or else to `by_subject`."
            )
        for name in sorted(said - names):
            yield f"{owner}: `{name}` is in {INPUT_TABLE} but not in the schema: remove it."
    for owner in sorted(INPUTS.keys() - asked.keys()):
        yield f"{owner} is in {INPUT_TABLE} but not in the schema: remove it."
    for name, of_type in POLICY.items():
        for field in sorted(of_type.by_subject - of_type.open - of_type.guarded.keys()):
            yield f"{name}.{field} depends on the subject but is not in the schema: remove it from {TABLE}."


def mirrored(schema: GraphQLSchema) -> Complaints:
    """Guarded fields say so, in a directive and in their description, and nothing else does."""
    for coordinate, element in _guardable(schema):
        guard = GUARDS.get(coordinate)
        nodes = element.ast_node and element.ast_node.directives
        said = [_arguments(node) for node in nodes or () if node.name.value == "access"]
        if said != ([(guard.permission, guard.on_denied.value)] if guard else []):
            yield f"{coordinate}: its `@access` is not what {TABLE} says; declare it with `directives=access({coordinate!r})`."
        if guard and not (element.description or "").endswith(f"Needs `{guard.permission}`."):
            yield f"{coordinate}: its description must end with `access_sentence({coordinate!r})`."


def refusable(schema: GraphQLSchema) -> Complaints:
    """A field or a filter that may be refused is nullable, unless its result says so itself."""
    for coordinate, element in _guardable(schema):
        guard = GUARDS.get(coordinate)
        non_null = not isinstance(element, GraphQLObjectType) and is_non_null_type(element.type)
        if guard and non_null and guard.on_denied is not DenialMode.PROBLEM:
            yield f"{coordinate} may be refused, so it must be nullable."


def _guardable(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLObjectType | GraphQLField | GraphQLInputField]]:
    for type_ in objects(schema):
        yield type_.name, type_
        yield from ((f"{type_.name}.{name}", field) for name, field in type_.fields.items())
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            yield from ((f"{type_.name}.{name}", field) for name, field in type_.fields.items())


def _inputs(schema: GraphQLSchema) -> Iterator[tuple[str, frozenset[str]]]:
    """Fields with arguments other than paging, input types, and the enums of which a member depends on the subject."""
    for name, type_ in sorted(schema.type_map.items()):
        match type_:
            case GraphQLInputObjectType():
                yield name, frozenset(type_.fields)
            case GraphQLEnumType() if name in INPUTS:
                yield name, frozenset(type_.values)
            case GraphQLObjectType() if not name.startswith("__"):
                for field, each in type_.fields.items():
                    if names := frozenset(each.args) - PAGING:
                        yield f"{name}.{field}", names
            case _:
                pass


def _arguments(node: DirectiveNode) -> tuple[str, ...]:
    return tuple(str(getattr(argument.value, "value", None)) for argument in node.arguments or ())
