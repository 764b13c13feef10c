"""Results of a subscription, event by event. Those that wait together are executed together: what they show is read at once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

from graphql.execution import ExecutionResult
from strawberry.execution import optimized_is_awaitable

from gql_server.graph.context import Context

TOGETHER_MAX = 25
"""Events that are executed together: others wait for the event loop meanwhile."""


async def results_of(
    executor: Any, events: AsyncIterator[Any], context: Any
) -> AsyncGenerator[tuple[ExecutionResult, Any], None]:
    """The result of each event, in their order, with the context that it was executed in."""
    if not isinstance(context, Context):
        async for event in events:
            yield await _executed(executor, event, context), context
        return
    session = context.session
    async for first in events:
        told, together, failure = [session.told], [first], None
        try:
            while session.waiting and len(together) < TOGETHER_MAX:
                together.append(await anext(events))
                told.append(session.told)
        except Exception as error:  # once the events before it are told
            failure = error
        for each, (result, of_event) in zip(told, await _executed_together(executor, together, context), strict=True):
            session.told = each
            yield result, of_event
        if failure:
            raise failure


async def _executed_together(
    executor: Any, events: Sequence[Any], context: Context
) -> Sequence[tuple[ExecutionResult, Context]]:
    """The results of these events, whose loaders collect the keys of all."""
    if len(events) == 1:
        return [(await _executed(executor, events[0], context), context)]
    contexts = [context.beside() for _ in events]
    results = await asyncio.gather(*map(_executed, [executor] * len(events), events, contexts))
    return [*zip(results, contexts, strict=True)]


async def _executed(executor: Any, event: Any, context: Any) -> ExecutionResult:
    """The result of one event, as `graphql.map_source_to_response_event` has it."""
    of_event = executor.build_per_event_executor(event)
    of_event.context_value = context
    result: Any = of_event.execute_operation(False)
    return await result if optimized_is_awaitable(result) else result
