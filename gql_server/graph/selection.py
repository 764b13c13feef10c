"""Columns of rows that an operation selects: those that have to be read for it.

A field says which attributes of the row it is made of. The columns of a statement are those of all fields that are selected,
through connections, edges, payloads, fragments and embedded objects; worked out once for a field of a document.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_composite_type,
)
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from gql_server.graph.context import Info
from gql_server.policy import GUARDS
from gql_server.policy.guards import attributes_of
from gql_server.reads.failures.row import FailureGroupRow
from gql_server.reads.fleet.workers import WorkerRow
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.loaders import Query, every
from gql_server.reads.pipelines.row import PipelineRow
from gql_server.reads.rows import Attribute, Columns, Row
from gql_server.reads.views import ViewRow
from gql_server.reads.years.queries import YearRow

R = TypeVar("R", bound=Row)
ROWS: Mapping[str, type[Row]] = {
    row.node_type: row for row in (FailureGroupRow, JobRow, PipelineRow, ViewRow, WorkerRow, YearRow)
}
"""Row classes by the object type that shows them."""
REMEMBERED = 4096


class Document(NamedTuple):
    """Meaning of the fields of a document: the schema, the fragments, and the values of variables."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]


def made_of(*attributes: Attribute[Any] | str) -> dict[str, Any]:
    """Metadata of a field that is coded: the attributes of the row that it is made of."""
    return {"made_of": tuple(each if isinstance(each, str) else each.name for each in attributes)}


def made_of_rows(*attributes: Attribute[Any]) -> dict[str, Any]:
    """The same of a field of a page: the attributes of its rows."""
    return {"of_rows": tuple(attribute.name for attribute in attributes)}


def declared(field: GraphQLField) -> StrawberryField:
    """The field as it was declared."""
    return field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]


@cache
def attributes_for(field: StrawberryField) -> tuple[str, ...]:
    """Names of the attributes of a row that its field is made of. Raises TypeError for one that does not say."""
    metadata = cast(Mapping[str, Any], field.metadata)
    names: list[str] = [*metadata.get("made_of", ())]
    if "embedded" in metadata and (present := metadata["embedded"]):
        names.append(present)
    if "global_id" in metadata:
        names.append(metadata["global_id"])
    children: list[Any] = [metadata.get("child"), getattr(metadata.get("guarded"), "read", None)]
    names += [child.key for child in children if hasattr(child, "key")]
    if "guard" in metadata:
        names += attributes_of(GUARDS[metadata["guard"]])
    if not metadata:
        if cast(Any, field).base_resolver is not None:
            raise TypeError(f"{field.python_name} does not say what it is made of: give it `metadata=made_of(…)`")
        names.append(field.python_name)
    return tuple(dict.fromkeys(names))


def selected(info: Info, row: type[R]) -> Columns[R]:
    """The columns that what is selected of this field is made of."""
    raw: Any = cast(Any, info)._raw_info
    variables: Mapping[str, Any] = raw.variable_values
    conditions = tuple(sorted((name, value) for name, value in variables.items() if value is True or value is False))
    key = (row, conditions, *map(id, raw.field_nodes))
    known = _known.get(key)
    if known is None:
        document = Document(raw.schema, raw.fragments, variables)
        known = _known[key] = (columns_for(document, row, get_named_type(raw.return_type), raw.field_nodes), raw.field_nodes)
        if len(_known) > REMEMBERED:
            _known.popitem(last=False)
    return known[0]


# the nodes are kept so that no others get their ids
_known: OrderedDict[tuple[Any, ...], tuple[Columns[Any], Sequence[FieldNode]]] = OrderedDict()


def columns_for(document: Document, row: type[R], type_: Any, nodes: Iterable[FieldNode]) -> Columns[R]:
    """The columns of that row class that these nodes of a field of that type select."""
    return row.columns(_through(document, row, type_, nodes))


def _through(document: Document, row: type[Row], type_: Any, nodes: Iterable[FieldNode]) -> Iterator[str]:
    """Names of attributes of the rows that are found below, in whatever contains them."""
    shown = document.schema.type_map[row.node_type]
    for parent, node in _fields(document, type_, nodes):
        if parent is shown or (is_abstract_type(parent) and document.schema.is_sub_type(parent, cast(Any, shown))):
            yield from _of_row(document, shown, node)
        elif parent.name not in ROWS and (field := cast(Any, parent).fields.get(node.name.value)) is not None:
            yield from (name for name in declared(field).metadata.get("of_rows", ()) if name in row.attributes)
            below = cast(Any, get_named_type(field.type))
            if is_composite_type(below):
                yield from _through(document, row, below, [node])


def _of_row(document: Document, type_: Any, node: FieldNode) -> Iterator[str]:
    """Names of attributes that a field of the row is made of, or of the parts that are selected of it."""
    if (field := type_.fields.get(node.name.value)) is not None:
        yield from attributes_for(declared(field))
        if "embedded" in declared(field).metadata:
            below = cast(Any, get_named_type(field.type))
            for _, part in _fields(document, below, [node]):
                yield from _of_row(document, below, part)


def _fields(document: Document, type_: Any, nodes: Iterable[FieldNode]) -> Iterator[tuple[GraphQLCompositeType, FieldNode]]:
    """The fields that are selected of these nodes, each with the type that it is selected on."""
    for node in nodes:
        if node.selection_set:
            yield from _selections(document, type_, node.selection_set)


def _selections(
    document: Document, type_: Any, selections: SelectionSetNode
) -> Iterator[tuple[GraphQLCompositeType, FieldNode]]:
    for node in selections.selections:
        if not _is_included(document, node):
            continue
        if isinstance(node, FieldNode):
            yield type_, node
            continue
        fragment: Any = document.fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
        assert isinstance(fragment, FragmentDefinitionNode | InlineFragmentNode)
        condition = fragment.type_condition
        on = document.schema.type_map[condition.name.value] if condition else type_
        yield from _selections(document, on, fragment.selection_set)


def _is_included(document: Document, node: Any) -> bool:
    """Neither `@skip` nor `@include` leaves it out."""
    for directive in node.directives or ():
        if (name := directive.name.value) in ("skip", "include"):
            value = directive.arguments[0].value
            condition = document.variables[value.name.value] if isinstance(value, VariableNode) else value.value
            if condition is (name == "skip"):
                return False
    return True


def load(info: Info, query: Query, key: Any, **arguments: Any) -> Any:
    """The value of a batched query for one key, read as far as it is selected."""
    return info.context.load(query, key, **asked(info, query, arguments))


async def read(info: Info, query: Any, **arguments: Any) -> Any:
    """The result of a query that has no key, read as far as it is selected."""
    return await info.context.read(query, **asked(info, query, arguments))


def asked(info: Info, query: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with the columns that are selected, for a query that reads rows."""
    columns = every(query)
    return arguments if columns is None else {**arguments, "columns": selected(info, columns.row)}


def check_rows(schema: GraphQLSchema) -> None:
    """Raises TypeError for a field that is made of what its row has not, or does not say what it is made of."""
    for name, row in ROWS.items():
        _check(row, cast(Any, schema.type_map[name]))


def _check(row: type[Row], type_: Any) -> None:
    for name, field in type_.fields.items():
        if unknown := set(attributes_for(declared(field))) - row.attributes.keys():
            raise TypeError(f"{type_.name}.{name} is made of {', '.join(sorted(unknown))}, which {row.__name__} has not")
        if "embedded" in declared(field).metadata:
            _check(row, get_named_type(field.type))
