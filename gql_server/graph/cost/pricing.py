"""Asks the price of every operation before it is executed, refuses what is too dear, and executes nothing for a dry run."""

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
    get_operation_ast,
)
from graphql.utilities import value_from_ast_untyped
from strawberry.extensions import SchemaExtension

from gql_server.errors import CostLimitExceeded, RateLimited
from gql_server.graph.context import Context
from gql_server.graph.cost.prices import Prices, is_included, values_of

INT_MAX = 2**31 - 1
COST = "cost"
DRY_RUN = "dryRun"


class Pricing(SchemaExtension):
    """Comes after validation: only a valid operation has a price."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices

    def on_validate(self) -> Iterator[None]:
        yield
        execution = self.execution_context
        if not execution.pre_execution_errors and execution.graphql_document and isinstance(execution.context, Context):
            self._price(execution.context, execution.graphql_document)

    def _price(self, context: Context, document: DocumentNode) -> None:
        """Raises CostLimitExceeded or RateLimited."""
        execution = self.execution_context
        name, variables = execution.operation_name, execution.variables
        estimated = min(self._prices.estimate(document, name, variables, context.paging.size_max), INT_MAX)
        if (dry := dry_run(document, name, variables)) is not None:
            execution.graphql_document = dry
        else:
            _pay(context, estimated)
        context.bill = context.budgets.bill(context.viewer, estimated)


def _pay(context: Context, estimated: int) -> None:
    budgets, viewer = context.budgets, context.viewer
    if estimated > budgets.limit:
        message = f"The operation costs {estimated}, and one may cost {budgets.limit}: ask for less at a time."
        raise CostLimitExceeded(message, estimated=estimated, limit=budgets.limit)
    if not budgets.affords(viewer, estimated):
        bill = budgets.bill(viewer, estimated)
        message = f"The operation costs {estimated}, and {bill.budget_remaining} of {budgets.per_minute} a minute are left."
        reset_at = bill.reset_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        raise RateLimited(
            message, estimated=estimated, limit=budgets.per_minute, budgetRemaining=bill.budget_remaining, resetAt=reset_at
        )
    budgets.charge(viewer, estimated)


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
