"""Rules of the schema definition: what each of them complains of, naming the coordinate and the remedy."""

# graphql-core does not say what its wrapping types wrap
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import re
from collections.abc import Callable, Iterator
from itertools import combinations

from graphql import (
    DirectiveNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
    is_specified_directive,
    is_specified_scalar_type,
)

from gql_server.policy import GUARDS, INPUTS, PAGING, POLICY, DenialMode

TABLE = "gql_server/policy/table.py"
INPUT_TABLE = "gql_server/policy/inputs.py"
REMOVAL = re.compile(r"removed after \d{4}-\d{2}-\d{2}\b")
FORWARD, BACKWARD = ("first", "after"), ("last", "before")

Complaints = Iterator[str]


def lint(sdl: str) -> list[str]:
    """Everything that is wrong with a schema definition, one sentence each."""
    schema = build_schema(sdl)
    return [complaint for rule in RULES for complaint in rule(schema)]


def described(schema: GraphQLSchema) -> Complaints:
    """Everything a client can name has a description."""
    for coordinate, description in _nameable(schema):
        if not (description or "").strip():
            yield f"{coordinate} has no description."


def governed(schema: GraphQLSchema) -> Complaints:
    """Every object type and field has its line in the policy, and every line its field."""
    types = {type_.name: frozenset(type_.fields) for type_ in _objects(schema)}
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


def mergeable(schema: GraphQLSchema) -> Complaints:
    """Members of an interface or union can be selected side by side: their equally named fields have equal shapes."""
    seen: set[tuple[str, str]] = set()
    for abstract in schema.type_map.values():
        if is_abstract_type(abstract) and not abstract.name.startswith("__"):
            for one, other in combinations(sorted(schema.get_possible_types(abstract), key=lambda type_: type_.name), 2):
                yield from _clashes(schema, one, other, seen)


def dated(schema: GraphQLSchema) -> Complaints:
    """A deprecation says when it ends."""
    for coordinate, reason in _deprecations(schema):
        if not REMOVAL.search(reason):
            yield f'{coordinate}: its deprecation must say "removed after YYYY-MM-DD".'


def relay(schema: GraphQLSchema) -> Complaints:
    """Connections are as Relay's cursor connections specification has them."""
    for owner in _objects(schema):
        if owner.name.endswith("Connection"):
            yield from _connection(owner)
        for name, field in owner.fields.items():
            if get_named_type(field.type).name.endswith("Connection"):
                yield from _connection_field(f"{owner.name}.{name}", field)


RULES: tuple[Callable[[GraphQLSchema], Complaints], ...] = (
    described,
    governed,
    attributed,
    mirrored,
    refusable,
    mergeable,
    dated,
    relay,
)


def _objects(schema: GraphQLSchema) -> Iterator[GraphQLObjectType]:
    for name, type_ in sorted(schema.type_map.items()):
        if isinstance(type_, GraphQLObjectType) and not name.startswith("__"):
            yield type_


def _guardable(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLObjectType | GraphQLField | GraphQLInputField]]:
    for type_ in _objects(schema):
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


def _nameable(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Coordinates of everything of ours that can have a description, with it."""
    for name, type_ in sorted(schema.type_map.items()):
        if name.startswith("__") or is_specified_scalar_type(type_):
            continue
        yield name, type_.description
        match type_:
            case GraphQLEnumType():
                yield from ((f"{name}.{value}", each.description) for value, each in type_.values.items())
            case GraphQLInputObjectType():
                yield from ((f"{name}.{field}", each.description) for field, each in type_.fields.items())
            case GraphQLObjectType() | GraphQLInterfaceType():
                for field, each in type_.fields.items():
                    yield f"{name}.{field}", each.description
                    yield from ((f"{name}.{field}({key}:)", argument.description) for key, argument in each.args.items())
            case _:
                pass
    for directive in schema.directives:
        if not is_specified_directive(directive):
            yield f"@{directive.name}", directive.description
            yield from ((f"@{directive.name}({key}:)", argument.description) for key, argument in directive.args.items())


def _deprecations(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    for name, type_ in schema.type_map.items():
        members = type_.values if isinstance(type_, GraphQLEnumType) else getattr(type_, "fields", {})
        for member, each in members.items():
            arguments = {f"{name}.{member}({key}:)": argument for key, argument in getattr(each, "args", {}).items()}
            for coordinate, element in {f"{name}.{member}": each, **arguments}.items():
                if element.deprecation_reason is not None:
                    yield coordinate, element.deprecation_reason


def _arguments(node: DirectiveNode) -> tuple[str, ...]:
    return tuple(str(getattr(argument.value, "value", None)) for argument in node.arguments or ())


def _clashes(schema: GraphQLSchema, one: GraphQLNamedType, other: GraphQLNamedType, seen: set[tuple[str, str]]) -> Complaints:
    """Fields of two types that could not be selected under one key."""
    pair = (one.name, other.name)
    if one is other or pair in seen:
        return
    seen.add(pair)
    fields, others = getattr(one, "fields", {}), getattr(other, "fields", {})
    for name in fields.keys() & others.keys():
        mine, theirs = fields[name].type, others[name].type
        if not _same_shape(mine, theirs):
            yield f"{one.name}.{name}: {mine} and {other.name}.{name}: {theirs} can meet in one selection: rename one."
        else:
            yield from _clashes(schema, get_named_type(mine), get_named_type(theirs), seen)


def _same_shape(one: object, other: object) -> bool:
    while is_non_null_type(one) or is_list_type(one) or is_non_null_type(other) or is_list_type(other):
        if is_non_null_type(one) != is_non_null_type(other) or is_list_type(one) != is_list_type(other):
            return False
        one, other = one.of_type, other.of_type  # type: ignore[attr-defined]
    return one is other or (is_composite_type(one) and is_composite_type(other))


def _connection(type_: GraphQLObjectType) -> Complaints:
    fields = {name: str(field.type) for name, field in type_.fields.items()}
    if fields.get("pageInfo") != "PageInfo!":
        yield f"{type_.name}.pageInfo must be `PageInfo!`."
    edge = get_named_type(type_.fields["edges"].type) if "edges" in fields else None
    if not isinstance(edge, GraphQLObjectType) or not edge.name.endswith("Edge"):
        yield f"{type_.name}.edges must be a list of edges."
    elif not {"node", "cursor"} <= edge.fields.keys() or str(edge.fields["cursor"].type) != "String!":
        yield f"{edge.name} must have `node` and `cursor: String!`."


def _connection_field(coordinate: str, field: GraphQLField) -> Complaints:
    if isinstance(field.type, GraphQLNonNull):
        yield f"{coordinate} may fail without its parent, so it must be nullable (with `SemanticNonNull`)."
    directions = [pair for pair in (FORWARD, BACKWARD) if set(pair) <= field.args.keys()]
    if not directions:
        yield f"{coordinate} must take `first` and `after`, or `last` and `before`."
    for size, cursor in directions:
        if (str(field.args[size].type), str(field.args[cursor].type)) != ("Int", "String"):
            yield f"{coordinate} must take `{size}: Int` and `{cursor}: String`."
