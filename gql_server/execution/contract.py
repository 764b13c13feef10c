"""The executor, as far as plans, regions and effects know it: what they ask of it, and what a schema says in a subclass."""

from collections.abc import Mapping
from typing import Any, ClassVar

from graphql import GraphQLObjectType
from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.field import StrawberryField

from gql_server.execution.fields import Declared, Guard
from gql_server.execution.leaves import Natives


class Executor(StrawberryGraphQLCoreExecutionContext):
    """An execution that makes plans; `PlanExecutor` says how."""

    natives: ClassVar[Natives] = {}
    """Scalars whose values are left to the JSON encoder."""

    @staticmethod
    def declared(field: StrawberryField) -> Declared | None:
        """The declaration of a field; None for a field without resolver, which is an attribute, and for one that is coded."""
        return field.metadata.get("plan")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.decisions: dict[Guard, bool | None] = {}
        self.loading: dict[Any, Mapping[str, Any]] = {}
        """Arguments of the loads of this execution, by the plans of their fields."""

    @property
    def async_helpers(self) -> GraphQLResolveInfoHelpers:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Ways for a resolver to wait, made for whoever asks: an executor that held them would hold itself, and what was read,
        until somebody collects garbage."""
        return GraphQLResolveInfoHelpers(gather=self.gather_async_work, track=self.track_async_work)

    @async_helpers.setter
    def async_helpers(self, _: object) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Nothing: see above."""

    def decision(self, guard: Guard) -> bool | None:
        """The guard's decision for this viewer, asked for once in an execution."""
        if guard not in self.decisions:
            self.decisions[guard] = guard.decide(self.context_value)
        return self.decisions[guard]

    def plan_of(self, type_: GraphQLObjectType, details: Any) -> Any:
        """The plan of a selection, made when it is first asked for."""
        raise NotImplementedError

    def info_of(self, batch: Any, index: int, field: Any) -> Any:
        """The information that graphql-core gives the resolver of that field of the object."""
        raise NotImplementedError

    def arguments(self, batch: Any, field: Any) -> Mapping[str, Any]:
        """The arguments of a child's load, for all objects. Raises what is wrong with those given."""
        raise NotImplementedError
