"""The checks of graphql-cop by their names there, with the documents that it sends; each says when it finds something."""

from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.effort import many
from tests.graphql import AUTHORITY, endpoint

TYPENAME = "query cop { __typename }"
BEARER = {"Authorization": f"Bearer {AUTHORITY.mint('superadmin')}"}
CIRCULAR = (
    "query cop { __schema { types { fields { type { fields { type { fields { type { fields { type { name } } } } } } } } } } }"
)


class Target:
    """A server, as somebody asks it who has a token."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._transport = httpx.ASGITransport(endpoint(engine))

    async def send(self, method: str, **request: Any) -> httpx.Response:
        headers = {**BEARER, **request.pop("headers", {})}
        async with httpx.AsyncClient(transport=self._transport, base_url="http://target", headers=headers) as client:
            return await client.request(method, "/graphql", **request)

    async def ask(self, query: str) -> dict[str, Any]:
        return (await self.send("POST", json={"query": query})).json()


@pytest.fixture
def target(engine: AsyncEngine) -> Target:
    return Target(engine)


async def test_alias_overloading(target: Target):
    """Found where 101 aliases are answered."""
    answer = await target.ask(f"query cop {{ {many('alias{n}: __typename', 101)} }}")

    assert "data" not in answer
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}


async def test_array_based_query_batching(target: Target):
    """Found where ten operations in one request are answered."""
    response = await target.send("POST", json=[{"query": TYPENAME}] * 10)

    assert response.status_code == 400
    assert "data" not in response.text


async def test_directive_overloading(target: Target):
    """Found where ten unknown directives of one field are told in ten errors: there are five, and one that says so."""
    answer = await target.ask(f"query cop {{ __typename {'@aa' * 10} }}")
    more = await target.ask(f"query cop {{ __typename {'@aa' * 51} }}")

    assert len(answer["errors"]) == 6
    assert [error["message"] for error in more["errors"]] == ["The operation exceeds the limit of 50 for its directives."]


async def test_field_duplication(target: Target):
    """Found where one field that is asked for five hundred times is answered."""
    answer = await target.ask("query cop { " + "__typename\n" * 500 + "}")

    assert "data" not in answer
    assert [error["message"] for error in answer["errors"]] == ["The operation exceeds the limit of 20 for its root fields."]


async def test_circular_query_via_introspection(target: Target):
    """Found where types of types of types are answered."""
    answer = await target.ask(CIRCULAR)

    assert "data" not in answer
    assert [error["message"] for error in answer["errors"]] == ["Maximum introspection depth exceeded"]


async def test_mutation_over_get(target: Target):
    """Found where a GET is answered that names a mutation."""
    plain = await target.send("GET", params={"query": "mutation cop { __typename }"})
    preflighted = await target.send(
        "GET", params={"query": "mutation cop { __typename }"}, headers={"GraphQL-Require-Preflight": "1"}
    )

    assert (plain.status_code, preflighted.status_code) == (400, 405)
    assert "data" not in plain.text + preflighted.text


async def test_query_over_get(target: Target):
    """Found where a GET is answered that any page could have sent."""
    response = await target.send("GET", params={"query": TYPENAME})

    assert response.status_code == 400
    assert "GraphQL-Require-Preflight" in response.text


@pytest.mark.parametrize("media", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"])
async def test_post_of_a_form(target: Target, media: str):
    """Found where a POST is answered that the form of any page could have sent."""
    response = await target.send("POST", content="query=query+cop+%7B__typename%7D", headers={"Content-Type": media})

    assert response.status_code == 415
    assert "data" not in response.text


async def test_tracing_and_unhandled_errors(target: Target):
    """Found where an answer has `extensions.tracing`, or an error an exception or its trace."""
    answer, broken = await target.ask(TYPENAME), await target.ask("qwerty cop { abc }")

    assert answer == {"data": {"__typename": "Query"}}
    assert set(broken["errors"][0]) <= {"message", "locations", "extensions"}
    assert set(broken["errors"][0]["extensions"]) == {"code"}
    assert "Traceback" not in str(broken)


@pytest.mark.parametrize("query", ["query cop { __schema { types { name } } }", TYPENAME, "query cop { pipelinez { id } }"])
async def test_introspection_and_suggestions_without_a_token(target: Target, query: str):
    """Found where the schema, or a hint at it, is told to anybody. With a token, `GQL_INTROSPECTION` says to whom: see
    test_documents."""
    response = await target.send("POST", json={"query": query}, headers={"Authorization": ""})

    assert response.status_code == 401
    assert "Did you mean" not in response.text
    assert "__schema" not in response.text


@pytest.mark.parametrize("accept", ["text/html", "text/html,application/xhtml+xml,*/*;q=0.1"])
async def test_graphiql_at_the_endpoint(target: Target, accept: str):
    """Found where the endpoint itself shows a playground. Ours is a page of its own, which asks who signs in: see
    test_graphiql."""
    response = await target.send("GET", headers={"Accept": accept})

    assert response.status_code in (400, 406)
    assert "text/html" not in response.headers["content-type"]
    assert not any(name in response.text.lower() for name in ("graphiql", "playground"))
