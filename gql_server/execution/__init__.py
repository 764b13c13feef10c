"""Execution by plan: lists of rows become response dictionaries a column at a time, with the results of graphql-core.

For any Strawberry schema:

    class Executor(PlanExecutor):
        natives = {"DateTime": Native(datetime), "UUID": Native(UUID)}   # the encoder writes these: orjson.OPT_UTC_Z

    schema = strawberry.Schema(query=Query, execution_context_class=Executor)

From then on every object and every list of objects that a resolver returns is answered by plan, and so is a query whose own
fields are declared. Of a subscription, graphql-core executes the first event; of others, the value of the one field is
completed. A plan is made once for
each document, operation and values of `@include` and `@skip`, and is the same for every viewer. It knows of a field without
resolver that it is an attribute, and of others what they declare (`fields`): a pure function of attributes, or of the
context and the object; the object itself as another type; a child that one call loads for all objects; or a guard. Rows may
be anything with attributes; NamedTuples are read by position (`rows`).

| Module | Does |
|---|---|
| `fields`, `plan`, `compiled` | what is declared; what follows for a selection; what is kept between executions |
| `arguments` | arguments of children: what stands in the document is converted once, what variables say each time |
| `rows`, `leaves`, `region` | columns of rows; their serialization; completion of what hangs together, without side effects |
| `prototype` | another execution of an operation that was built before |
| `effects`, `executor` | children, coded fields, denials and errors; the door from graphql-core and back to it |

Whatever is unusual is done by graphql-core, and only that: a coded field, an abstract type, a value that is an error or of
another type, null where there may be none, `@defer`. A region fails as a whole before anything has happened, and is done
again for smaller parts, so that at last only the part with the fault is executed field by field. Extensions that resolve
fields turn plans off.

It differs from graphql-core in one thing. Where several fields wait at the same time, the order of their errors is a race
there, as is which errors below a null are met before it; here others may win.
"""

from gql_server.execution.executor import PlanExecutor
from gql_server.execution.fields import KEY, Attribute, Child, Computed, Declared, Guard, Guarded, Judged, Part
from gql_server.execution.leaves import Native, Unplanned
from gql_server.execution.plan import any_source
from gql_server.execution.prototype import Prototype

__all__ = [
    "KEY",
    "Attribute",
    "Child",
    "Computed",
    "Declared",
    "Guard",
    "Guarded",
    "Judged",
    "Native",
    "Part",
    "PlanExecutor",
    "Prototype",
    "Unplanned",
    "any_source",
]
