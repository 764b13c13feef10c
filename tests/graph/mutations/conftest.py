"""Shared by the tests of mutations: sending an operation, and reading its result."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.graphql import Client

PROBLEM = """
  ... on Problem { code message retryable }
  ... on ForbiddenProblem { permission }
  ... on ConflictProblem {
    reason current { pipelineId status } currentYear { year isProvisioned } currentJob { jobId state }
  }
  ... on InputProblem { coordinate path }
"""


async def mutate(client: Client, field: str, shown: str, **input: Any) -> dict[str, Any]:
    """The result of a mutation: of its payload what `shown` selects, of a problem everything."""
    name = field[0].upper() + field[1:]
    operation = f"""mutation ($input: {name}Input!) {{
      {field}(input: $input) {{ __typename ... on {name}Payload {{ {shown} }} {PROBLEM} }}
    }}"""
    return (await client.query(operation, input=input))[field]


async def rows(engine: AsyncEngine, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a statement, as tuples."""
    async with engine.begin() as connection:
        return [tuple(row) for row in await connection.execute(text(statement), values)]
