"""Fields as the plan executor knows them."""

from typing import Any

import strawberry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gql_server.graph.context import Info
from gql_server.graph.fields import reading
from gql_server.graph.planned import Executor
from gql_server.policy import Viewer
from tests.graphql import context, viewer

READ: list[int] = []


async def numbers(connection: AsyncConnection, _viewer: Viewer, least: int) -> int:
    READ.append(least)
    return (await connection.execute(text(f"SELECT {least} + 1"))).scalar_one()


@strawberry.type
class Thing:
    name: str

    @reading(numbers, kind=int, description="One more than the least.")
    @staticmethod
    def number(info: Info, least: int) -> dict[str, Any]:
        return {"least": least}


@strawberry.type
class Query:
    @strawberry.field
    def things(self, count: int) -> list[Thing]:
        return [Thing(name=f"{number}") for number in range(count)]


SCHEMA = strawberry.Schema(query=Query, execution_context_class=Executor)


async def test_what_a_query_without_a_key_finds_is_shown_for_each_of_a_list_and_read_once(engine: AsyncEngine) -> None:
    READ.clear()

    shown = await SCHEMA.execute(
        "{ none: things(count: 0) { number(least: 1) } one: things(count: 1) { number(least: 6) } "
        "many: things(count: 3) { name number(least: 7) } }",
        context_value=context(engine, viewer("operator")),
    )

    assert shown.errors is None
    assert shown.data == {
        "none": [],
        "one": [{"number": 7}],
        "many": [{"name": "0", "number": 8}, {"name": "1", "number": 8}, {"name": "2", "number": 8}],
    }
    assert sorted(READ) == [6, 7]
