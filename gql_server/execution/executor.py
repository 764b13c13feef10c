"""The executor: graphql-core's own, which leaves to a plan what a plan can answer."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from graphql import (
    ExecutionResult,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    OperationType,
)
from graphql.execution.collect_fields import GroupedFieldSet, collect_fields
from graphql.pyutils import Path

from gql_server.execution.arguments import Arguments
from gql_server.execution.compiled import Compiled, compiled, followed
from gql_server.execution.contract import Executor
from gql_server.execution.effects import Escaped, Work, begun
from gql_server.execution.introspection import IntrospectedField, Introspection, selected, tells_of_schema
from gql_server.execution.plan import Details, FieldPlan, ObjectPlan, nullable_type, plan_fields, plan_object
from gql_server.execution.region import Entry, ObjectBatch, Region

ROOT = object()
"""Object of the root, where there is no other."""


class PlanExecutor(Executor):
    """Answers objects and lists of objects by plan, and whatever is unusual as graphql-core does.

    Give a subclass to `strawberry.Schema(execution_context_class=…)`; its class attributes and static methods say the rest.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.compiled: Compiled | None = None
        self._plans = not (self.middleware_manager and self.middleware_manager.middlewares) and self.abort_signal is None
        self.use_plans()

    def use_plans(self) -> None:
        """Go by the plans of the operation; where its variables decide what is selected, by those for their values."""
        if self._plans:
            if self.compiled is None or self.compiled.is_varied:
                self.compiled = compiled(self)
            self._relevant_sub_fields = self.compiled.sub_fields

    def execute_operation(self, serially: bool | None = None) -> Any:
        """The result of the operation; at once where it asks for nothing that has to be loaded."""
        plan = self._answer()
        if plan is not None:
            entry = Entry(None, None, plan.details, is_list=False)
            if region := self._entered(entry, plan, [ROOT if self.root_value is None else self.root_value]):
                work = begun(self, region)
                return self._responded(entry, work) if work else ExecutionResult(entry.answers[0], None)
        followed = self._followed()
        return super().execute_operation(serially) if followed is None else self._told(*followed)

    def _followed(self) -> tuple[str, Details, GraphQLField] | None:
        """The field of a subscription whose value an event is, once graphql-core has executed the first event."""
        known = self.compiled and self.compiled.followed
        return None if known is None or self.hooks is not None or self.is_awaitable(self.root_value) else known

    def _told(self, key: str, details: Details, field: GraphQLField) -> Any:
        """The response to an event, as graphql-core completes it: nothing is collected, and no argument read, once more."""
        root: Any = self.schema.subscription_type
        path = Path(None, key, root.name)
        info = self.build_resolve_info(field, [each.node for each in details], root, path)
        try:
            completed = self.complete_value(field.type, details, info, path, self.root_value, None)
        except Exception as error:
            return self._told_null(error, key, details, field)
        if self.is_awaitable(completed):
            return self._told_later(completed, key, details, field)
        return self.build_response({key: completed})

    async def _told_later(self, completed: Any, key: str, details: Details, field: GraphQLField) -> Any:
        try:
            data = {key: await completed}
        except Exception as error:
            return self._told_null(error, key, details, field)
        return self.build_response(data)

    def _told_null(self, error: Exception, key: str, details: Details, field: GraphQLField) -> Any:
        root: Any = self.schema.subscription_type
        try:
            self.handle_field_error(error, field.type, details, Path(None, key, root.name))
        except GraphQLError as located:
            self.collected_errors.add(located, None)
            return self.build_response(None)
        return self.build_response({key: None})

    async def _responded(self, entry: Entry, work: Work) -> Any:
        """The response, once the whole operation is answered."""
        try:
            await work.settled()
        except Escaped as escaped:
            if not isinstance(escaped.error, GraphQLError):
                raise escaped.error from escaped.error.__cause__
            self.collected_errors.add(escaped.error, None)
            return self.build_response(None)
        return self.build_response(entry.answers[0])

    def _answer(self) -> ObjectPlan | None:
        """The plan of the whole operation, made when it is first executed."""
        if self.compiled is None or self.hooks is not None or self.operation.operation is not OperationType.QUERY:
            return None
        if self.compiled.answer is None:
            self.compiled.answer = (self._plan_root(),)
        return self.compiled.answer[0]

    def _plan_root(self) -> ObjectPlan | None:
        root: Any = self.schema.query_type
        try:
            grouped, deferred, _ = collect_fields(
                self.schema, self.fragments, self.variable_values, root, self.operation, self.hide_suggestions
            )
        except (GraphQLError, RecursionError):  # graphql-core says what is wrong
            return None
        plan = None if deferred else plan_fields(self, root, [], grouped)
        return None if plan is None or plan.codes else plan

    def execute_collected_root_fields(
        self,
        root_type: GraphQLObjectType,
        root_value: Any,
        grouped_field_set: GroupedFieldSet,
        serially: bool,
        new_defer_usages: Sequence[Any],
    ) -> Any:
        if self.compiled:
            grouped_field_set = self.compiled.root(grouped_field_set)
            if self.operation.operation is OperationType.SUBSCRIPTION and not new_defer_usages:
                self.compiled.followed = followed(root_type, grouped_field_set)
        return super().execute_collected_root_fields(root_type, root_value, grouped_field_set, serially, new_defer_usages)

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: Details,
        info: Any,
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        if position_context is None and (fields := self._introspected(return_type, field_details_list)) is not None:
            return self._introspection.answer(fields, info, result)
        plan = self._usable(return_type, field_details_list, position_context)
        if plan is not None:
            entry = Entry(path, info, field_details_list, is_list=False)
            if region := self._entered(entry, plan, [result]):
                work = begun(self, region)
                return self._first(entry, work) if work else entry.answers[0]
        return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

    def complete_list_value(
        self, return_type: Any, field_details_list: Details, info: Any, path: Path, result: Any, position_context: Any
    ) -> Any:
        plan = self._usable(nullable_type(return_type.of_type), field_details_list, position_context)
        if plan is not None and type(result) in (list, tuple):
            entry = Entry(path, info, field_details_list, is_list=True, item_type=return_type.of_type)
            if region := self._entered(entry, plan, result):
                work = begun(self, region)
                return self._all(entry, work) if work else entry.answers
        return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

    @cached_property
    def _introspection(self) -> Introspection:
        return Introspection()

    def _introspected(self, type_: GraphQLObjectType, details: Details) -> list[IntrospectedField] | None:
        """The fields that are selected of a type that tells of the schema; None for others, and where an argument is wrong,
        which makes null of its field alone."""
        try:
            return selected(self, type_, details) if tells_of_schema(type_) else None
        except GraphQLError:
            return None

    def _entered(self, entry: Entry, plan: ObjectPlan, rows: Sequence[Any]) -> Region | None:
        """The region of these objects; None when there is something unusual about them."""
        region = Region(self)
        try:
            region.enter(entry, plan, rows)
        except Exception:
            return None
        return region

    async def _first(self, entry: Entry, work: Work) -> Any:
        return (await self._all(entry, work))[0]

    async def _all(self, entry: Entry, work: Work) -> Any:
        try:
            await work.settled()
        except Escaped as escaped:
            raise escaped.error from escaped.error.__cause__
        return entry.answers

    def _usable(self, type_: Any, details: Details, position: Any) -> ObjectPlan | None:
        if not self.compiled or position is not None or not isinstance(type_, GraphQLObjectType):
            return None
        plan = self.plan_of(type_, details)
        return plan if plan and plan.is_worth_it else None

    def plan_of(self, type_: GraphQLObjectType, details: Details) -> ObjectPlan | None:
        """The plan of a selection, made when it is first asked for."""
        assert self.compiled is not None
        key = (type_, id(details))
        known = self.compiled.plans.get(key)
        if known is None or known[0] is not details:
            known = self.compiled.plans[key] = (details, plan_object(self, type_, details))
        return known[1]

    def info_of(self, batch: ObjectBatch, index: int, field: FieldPlan) -> Any:
        """The information that graphql-core gives the resolver of that field of the object."""
        nodes = [each.node for each in field.details]
        return self.build_resolve_info(field.definition, nodes, batch.plan.type, batch.path_of(index, field))

    def arguments(self, batch: ObjectBatch, field: FieldPlan) -> Mapping[str, Any]:
        """The arguments of a child's load, for all objects. Raises what is wrong with those given."""
        arguments = self.loading.get(field) if field.loading is None else field.loading
        if arguments is None:
            arguments = self.loading[field] = self._arguments(batch, field)
            if field.child and field.child.is_of_selection:
                field.loading = arguments
        return arguments

    def _arguments(self, batch: ObjectBatch, field: FieldPlan) -> Mapping[str, Any]:
        schema: Any = self.schema._strawberry_schema  # type: ignore[attr-defined]
        child = field.child
        assert child is not None
        info = schema.config.info_class(_raw_info=self.info_of(batch, 0, field), _field=field.strawberry)
        if not field.definition.args:
            return child.arguments(info)
        if field.given is None:
            field.given = Arguments(field, schema.config)
        return child.arguments(info, **field.given.converted(self, info))
