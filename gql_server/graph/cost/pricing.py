"""The price of an operation: taken before it is executed, or refused; a dry run executes nothing else."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Visitor,
    get_operation_ast,
    visit,
)
from graphql.utilities import value_from_ast_untyped

from gql_server.errors import CostLimitExceeded, RateLimited
from gql_server.graph.context import Context
from gql_server.graph.cost.prices import is_included, values_of

INT_MAX = 2**31 - 1
COST = "cost"
DRY_RUN = "dryRun"
REFUSED_COST, REFUSED_COST_PER_CHARACTER = 100, 1


def charge(context: Context, estimated: int) -> None:
    """Take the price of an operation from the viewer's budget. Raises CostLimitExceeded or RateLimited."""
    limit = context.budgets.limit
    if estimated > limit:
        message = f"The operation costs {estimated}, and one may cost {limit}: ask for less at a time."
        raise CostLimitExceeded(message, estimated=estimated, limit=limit)
    _take(context, estimated)


def charge_refused(context: Context, length: int) -> None:
    """Take the price of a document that is not executed: what it takes to read it. Raises RateLimited."""
    _take(context, REFUSED_COST + length * REFUSED_COST_PER_CHARACTER)
    context.budgets.note_refusal(context.viewer)


def _take(context: Context, estimated: int) -> None:
    budgets, viewer = context.budgets, context.viewer
    if not budgets.charge(viewer, estimated):
        bill = budgets.bill(viewer, estimated)
        message = f"The operation costs {estimated}, and {bill.budget_remaining} of {budgets.per_minute} a minute are left."
        reset_at = bill.reset_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        raise RateLimited(
            message, estimated=estimated, limit=budgets.per_minute, budgetRemaining=bill.budget_remaining, resetAt=reset_at
        )


def has_price(document: DocumentNode) -> bool:
    """True if `cost` is asked for anywhere in the document."""
    found = _Named(COST)
    visit(document, found)
    return found.is_there


def dry_run(document: DocumentNode, name: str | None, variables: Mapping[str, Any] | None) -> DocumentNode | None:
    """The document with nothing left of its operation but `cost`, when that is asked for with `dryRun: true`."""
    operation = get_operation_ast(document, name)
    if operation is None or operation.operation is not OperationType.QUERY:
        return None
    values = values_of(operation, variables)
    fields = [*_cost_fields(document, operation, values)]
    if not any(_is_dry(field, values) for field in fields):
        return None
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    alone = OperationDefinitionNode(
        operation=operation.operation,
        name=operation.name,
        variable_definitions=operation.variable_definitions,
        directives=operation.directives,
        selection_set=SelectionSetNode(selections=tuple(fields)),
        loc=operation.loc,
    )
    return DocumentNode(definitions=(alone, *fragments), loc=document.loc)


def _cost_fields(document: DocumentNode, operation: OperationDefinitionNode, values: Mapping[str, Any]) -> Iterator[FieldNode]:
    """The root fields `cost`, also those in fragments, each of which is read once."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    read: set[str] = set()
    rest = [*reversed(operation.selection_set.selections)]
    while rest:
        node = rest.pop()
        if not is_included(node, values):
            continue
        if isinstance(node, FieldNode):
            if node.name.value == COST:
                yield node
        elif isinstance(node, InlineFragmentNode):
            rest += reversed(node.selection_set.selections)
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in read:
            read.add(node.name.value)
            rest += reversed(fragments[node.name.value].selection_set.selections)


def _is_dry(field: FieldNode, values: Mapping[str, Any]) -> bool:
    given = (argument.value for argument in field.arguments or () if argument.name.value == DRY_RUN)
    return any(value_from_ast_untyped(value, cast(dict[str, Any], values)) is True for value in given)


class _Named(Visitor):
    """Looks for a field of that name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self.is_there = name, False

    def enter_field(self, node: FieldNode, *_: object) -> None:
        self.is_there = self.is_there or node.name.value == self._name
