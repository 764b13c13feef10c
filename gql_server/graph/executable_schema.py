"""The schema as it executes: a prepared operation, its price, the plan executor, and what the viewer was not shown."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from functools import cached_property
from typing import Any, cast

import strawberry
from graphql import DocumentNode, GraphQLError, GraphQLSchema
from graphql import execution as core
from graphql.execution import ExecutionResult as CoreResult
from graphql.execution import Executor
from strawberry.exceptions import MissingQueryError
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from gql_server import tracing
from gql_server.errors import CostLimitExceeded, ErrorCode
from gql_server.execution import Prototype
from gql_server.graph.context import Context
from gql_server.graph.cost.prices import Prices
from gql_server.graph.cost.pricing import charge, charge_refused
from gql_server.graph.document_limits import MAX_ERRORS
from gql_server.graph.events import results_of
from gql_server.graph.observation import Observed
from gql_server.graph.operations import Operations, Prepared
from gql_server.metrics import EVENTS_SENT
from gql_server.policy import API_EXPLORE, GUARDS
from gql_server.reads.lanes import Lanes

REQUEST_ERRORS = (CannotGetOperationTypeError, InvalidOperationTypeError, MissingQueryError)
EVERY_TYPE = frozenset(OperationType)
NO_INTROSPECTION = f"The schema is told to those alone who have the permission `{API_EXPLORE}`."
FORBIDDEN = {"code": ErrorCode.FORBIDDEN.value, "permission": API_EXPLORE}
HINT = re.compile(r" Did you mean .*\Z", re.DOTALL)


class Schema(strawberry.Schema):
    """Does for each operation only what depends on its viewer and its variables. Its extensions are not asked."""

    slow_seconds = 1.0

    @property
    def executable(self) -> GraphQLSchema:
        """The schema as graphql-core knows it."""
        return self._schema

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing: the edge logs what it masks, and only that."""

    async def execute(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """The result of a query or a mutation.

        Raises MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError.
        """
        prepared = await self._in_turn(query, operation_name, allowed_operation_types, context_value)
        observed = Observed(prepared, context_value, self.slow_seconds, operation_extensions)
        return await self._executed(observed, variable_values, root_value)

    async def stream(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any = None,
        root_value: Any = None,
        operation_name: str | None = None,
        operation_extensions: dict[str, Any] | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
    ) -> AsyncGenerator[ExecutionResult, None]:
        """The results of any operation, one by one. They begin with raising CostLimitExceeded or RateLimited."""
        return self._stream(query, operation_name, allowed_operation_types, variable_values, context_value, root_value)

    async def _stream(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        query: str | None,
        name: str | None,
        allowed: Iterable[OperationType] | None,
        variables: dict[str, Any] | None,
        context: Any,
        root: Any,
    ) -> AsyncGenerator[ExecutionResult, None]:
        try:
            prepared = await self._in_turn(query, name, allowed, context)
            if prepared.document is not None and prepared.type is not OperationType.SUBSCRIPTION:
                yield await self._executed(Observed(prepared, context, self.slow_seconds), variables, root)
                return
            document = self._checked(prepared, variables, context)
        except Refused as refused:
            yield PreExecutionError(None, shown(refused.errors, context))
            return
        except REQUEST_ERRORS as error:
            yield PreExecutionError(None, [_located(error)])
            return
        async with aclosing(self._events(prepared, document, variables, context, root)) as results:
            async for result in results:
                yield result

    async def _executed(self, observed: Observed, variables: dict[str, Any] | None, root: Any) -> ExecutionResult:
        """The result of a query or a mutation, or why it was not executed; counted."""
        result: ExecutionResult | None = None
        try:
            outcome = self._outcome(observed.prepared, variables, observed.context, root)
            result = await (observed.traced(outcome) if tracing.is_on() else outcome)
            return observed.told(result)
        finally:
            observed.ended(result)

    async def _outcome(self, prepared: Prepared, variables: dict[str, Any] | None, context: Any, root: Any) -> ExecutionResult:
        try:
            document = self._checked(prepared, variables, context)
            result: Any = self._built(prepared, document, variables, context, root).execute_operation()
            if not isinstance(result, CoreResult):
                result = await result
        except Refused as refused:
            return PreExecutionError(None, shown(refused.errors, context))
        except Exception as error:
            return PreExecutionError(None, [_located(error)])
        return ExecutionResult(result.data, result.errors, redactions(context))

    async def _events(
        self, prepared: Prepared, document: DocumentNode, variables: dict[str, Any] | None, context: Any, root: Any
    ) -> AsyncGenerator[ExecutionResult, None]:
        try:
            executor = self._built(prepared, document, variables, context, root)
            events = cast(Any, core).create_source_event_stream(executor)
            if optimized_is_awaitable(events):
                events = await events
            if isinstance(events, CoreResult):
                raise Refused(events.errors or [])
            async with aclosing(events), aclosing(results_of(executor, events, context)) as results:
                async for event, of_event in results:
                    EVENTS_SENT.inc()
                    yield ExecutionResult(event.data, event.errors, redactions(of_event))
        except Refused as refused:
            yield PreExecutionError(None, shown(refused.errors, context))
        except Exception as error:
            yield ExecutionResult(None, [_located(error)])

    @cached_property
    def _operations(self) -> Operations:
        return Operations(self._schema)

    @cached_property
    def _prices(self) -> Prices:
        return Prices(self._schema)

    async def _in_turn(
        self, query: str | None, name: str | None, allowed: Iterable[OperationType] | None, context: Any
    ) -> Prepared:
        """The operation, if it may be asked here. Documents of who has sent bad ones lately are read one at a time, and in a
        thread: others need the event loop. Raises one of REQUEST_ERRORS, or RateLimited."""
        if not isinstance(context, Context) or not context.budgets.was_refused(context.viewer):
            return self._allowed(self._operations.prepared(query, name), allowed, context)
        async with self._turns.turns(context.viewer):
            prepared = await asyncio.to_thread(self._operations.prepared, query, name)
        return self._allowed(prepared, allowed, context)

    @cached_property
    def _turns(self) -> Lanes:
        return Lanes(1)

    def _allowed(self, prepared: Prepared, allowed: Iterable[OperationType] | None, context: Any) -> Prepared:
        """The operation. Raises one of REQUEST_ERRORS, or RateLimited."""
        try:
            if prepared.document is not None and prepared.type not in (allowed or EVERY_TYPE):
                raise InvalidOperationTypeError(prepared.type)
        except REQUEST_ERRORS:
            _charge_refused(context, prepared)
            raise
        return prepared

    def _checked(self, prepared: Prepared, variables: dict[str, Any] | None, context: Any) -> DocumentNode:
        """Operation to execute, once it is paid for. Raises Refused, CostLimitExceeded, RateLimited."""
        if errors := prepared.errors(variables):
            _charge_refused(context, prepared)
            raise Refused(errors)
        assert prepared.document is not None
        if not isinstance(context, Context):
            return prepared.document
        if not context.explores and prepared.introspects:
            _charge_refused(context, prepared)
            raise Refused([GraphQLError(NO_INTROSPECTION, extensions=FORBIDDEN)])
        context.estimated = prepared.estimate(self._prices, variables, context.paging.size_max)
        if (dry := prepared.dry(variables)) is not None:
            return dry
        try:
            charge(context, context.estimated)
        except CostLimitExceeded:
            _charge_refused(context, prepared)
            raise
        return prepared.document

    def _built(
        self, prepared: Prepared, document: DocumentNode, variables: dict[str, Any] | None, context: Any, root: Any
    ) -> Any:
        """The executor of an operation. Only that of its dry run is built again each time. Raises Refused."""
        is_whole = document is prepared.document
        if is_whole and prepared.prototype:
            executor = prepared.prototype.executor(context, root, variables, MAX_ERRORS)
        else:
            executor = self._build(document, prepared.name, variables, context, root)
        if isinstance(executor, list):
            raise Refused(executor)
        if is_whole and not prepared.prototype:
            prepared.prototype = Prototype(executor)
        return executor

    def _build(
        self, document: DocumentNode, name: str | None, variables: dict[str, Any] | None, context: Any, root: Any
    ) -> Executor[Any] | list[GraphQLError]:
        build = cast(Any, self).execution_context_class.build
        options: dict[str, Any] = {"is_awaitable": optimized_is_awaitable, "max_coercion_errors": MAX_ERRORS}
        return build(self._schema, document, root, context, variables, name, **options)


def _charge_refused(context: Any, prepared: Prepared) -> None:
    """Raises RateLimited."""
    if isinstance(context, Context):
        charge_refused(context, prepared.length)


class Refused(Exception):
    """The operation is not executed, for these errors."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors)
        self.errors = errors


def shown(errors: list[GraphQLError], context: Any) -> list[GraphQLError]:
    """The errors, without names that the viewer may not ask for."""
    return errors if not isinstance(context, Context) or context.explores else [*map(_without_hint, errors)]


def _without_hint(error: GraphQLError) -> GraphQLError:
    """A copy, as the error is kept with its document."""
    if not (hint := HINT.search(error.message)):
        return error
    message = error.message[: hint.start()]
    return GraphQLError(message, error.nodes, error.source, error.positions, error.path, extensions=error.extensions)


def redactions(context: Any) -> dict[str, Any]:
    """Redactions, as extensions of a result: one entry a field, however many rows."""
    if not isinstance(context, Context) or not context.redactions:
        return {}
    entries = [
        {"coordinate": coordinate, "permission": GUARDS[coordinate].permission, "count": count}
        for coordinate, count in sorted(context.redactions.items())
    ]
    return {"redactions": entries}


def _located(error: Exception) -> GraphQLError:
    """The error of an operation that was not executed."""
    match error:
        case GraphQLError():
            return error
        case CannotGetOperationTypeError():
            return GraphQLError(error.as_http_error_reason(), original_error=error)
        case InvalidOperationTypeError():
            return GraphQLError(f"{_PLURALS[error.operation_type]} are not allowed", original_error=error)
        case _:
            return GraphQLError(str(error), original_error=error)


_PLURALS = {OperationType.QUERY: "queries", OperationType.MUTATION: "mutations", OperationType.SUBSCRIPTION: "subscriptions"}
