"""Prototypes: an operation that is executed again is not built again."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError
from graphql.execution import Executor
from graphql.execution.executor import CollectedErrors
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import RefMap

from gql_server.execution.executor import PlanExecutor

OF_ONE_EXECUTION = {
    "collected_errors": CollectedErrors,
    "pending_incremental_futures": set,
    "background_futures": set,
    "_stream_usages": RefMap,
    "_initial_execution_plans": RefMap,
    "_deferred_execution_plans": RefMap,
    "groups": list,
    "tasks": list,
    "streams": list,
    "_relevant_sub_fields": dict,
    "decisions": dict,
    "loading": dict,
}
"""Attributes of an executor that begin empty."""


class Prototype:
    """Common part of all executions of one operation, whoever asks: nothing of who asked for the first is kept."""

    __slots__ = ("_common", "_kind")

    def __init__(self, executor: Executor[Any]) -> None:
        """Take it from an executor that has been built, and has done nothing yet."""
        self._kind = type(executor)
        of_one = {"context_value", "root_value", "variable_values", *OF_ONE_EXECUTION}
        self._common = {name: value for name, value in vars(executor).items() if name not in of_one}

    def executor(
        self, context: Any, root: Any, variables: Mapping[str, Any] | None, max_errors: int
    ) -> Executor[Any] | list[GraphQLError]:
        """The executor that `build` would make, or what is wrong with the variables."""
        executor = object.__new__(self._kind)
        begun = {name: begin() for name, begin in OF_ONE_EXECUTION.items()}
        executor.__dict__ = {**self._common, **begun, "context_value": context, "root_value": root}
        values = self._values(executor, variables or {}, max_errors)
        if isinstance(values, list):
            return values
        executor.variable_values = values
        if isinstance(executor, PlanExecutor):
            executor.use_plans()
        return executor

    def _values(
        self, executor: Executor[Any], variables: Mapping[str, Any], max_errors: int
    ) -> VariableValues | list[GraphQLError]:
        definitions = executor.operation.variable_definitions
        if not definitions:
            return VariableValues({}, {})
        return get_variable_values(executor.schema, definitions, dict(variables), max_errors, executor.hide_suggestions)
