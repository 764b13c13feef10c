"""GraphQL over HTTP as its draft has it: methods, media types and statuses."""

import gzip
import json
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.graph.cost.budgets import Budgets
from tests.graphql import Client

RESPONSE, JSON = "application/graphql-response+json", "application/json"
GET = {"GraphQL-Require-Preflight": "1"}
BROKEN = "{ viewer { id }"
UNKNOWN = "{ nonsense }"
UNGIVEN = "query ($id: ID!) { node(id: $id) { id } }"
SUBSCRIPTION = "subscription { pipeline(by: { jobId: 1 }) { token } }"


async def send(client: Client, method: str = "POST", **request: Any) -> httpx.Response:
    headers = {**client.headers, **request.pop("headers", {})}
    async with httpx.AsyncClient(transport=client.transport, base_url="http://test") as http:
        return await http.request(method, "/graphql", headers=headers, **request)


async def ask(client: Client, query: str, accept: str, **more: Any) -> httpx.Response:
    return await send(client, json={"query": query, **more}, headers={"Accept": accept})


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", JSON),
        ("", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (f"{JSON}; charset=utf-8", JSON),
        (RESPONSE, RESPONSE),
        (f"{RESPONSE}, {JSON}", RESPONSE),
        (f"{JSON}, {RESPONSE}", RESPONSE),
        (f"{RESPONSE};q=0.4, {JSON};q=0.5", JSON),
        (f"{RESPONSE};q=0.9, */*;q=0.1", RESPONSE),
        (f"{JSON};q=0, */*", RESPONSE),
        ("text/html, */*;q=0.8", JSON),
        (f"text/event-stream, {JSON}", JSON),
    ],
)
async def test_an_answer_comes_in_the_media_type_that_the_client_likes_best(engine: AsyncEngine, accept: str, media: str):
    response = await ask(Client(engine), "{ __typename }", accept)

    assert (response.status_code, response.headers["content-type"]) == (200, media)
    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize(
    "accept", ["text/html", "application/xml, image/*", f"{JSON};q=0, {RESPONSE};q=0", "application/graphql+json"]
)
async def test_who_takes_no_media_type_of_ours_is_told_which_there_are(engine: AsyncEngine, accept: str):
    response = await ask(Client(engine), "{ __typename }", accept)

    assert response.status_code == 406
    assert response.json()["errors"][0]["message"] == (
        f"The answer is {RESPONSE}, {JSON}, text/event-stream: the request's `Accept` takes none of these."
    )


@pytest.mark.parametrize(("query", "code"), [(BROKEN, "GRAPHQL_PARSE_FAILED"), (UNKNOWN, "GRAPHQL_VALIDATION_FAILED")])
@pytest.mark.parametrize(("media", "status"), [(JSON, 200), (RESPONSE, 400)])
async def test_what_is_not_executed_has_no_data_and_a_status_by_media_type(
    engine: AsyncEngine, query: str, code: str, media: str, status: int
):
    response = await ask(Client(engine), query, media)

    assert response.status_code == status
    assert "data" not in response.json()
    assert [error["extensions"]["code"] for error in response.json()["errors"]] == [code]


@pytest.mark.parametrize(("media", "status"), [(JSON, 200), (RESPONSE, 400)])
async def test_variables_that_do_not_fit_are_a_request_error(engine: AsyncEngine, media: str, status: int):
    response = await ask(Client(engine), UNGIVEN, media, variables={"id": None})

    assert response.status_code == status
    assert "data" not in response.json()


async def test_what_was_executed_is_200_whatever_became_of_it(engine: AsyncEngine):
    response = await ask(Client(engine, "standard"), "{ workers { podId } }", RESPONSE)

    assert response.status_code == 200
    assert response.json()["data"] == {"workers": None}


async def test_a_spent_budget_is_429_and_says_when_to_ask_again(engine: AsyncEngine):
    client = Client(engine, budgets=Budgets(per_minute=1))

    response = await ask(client, "{ pipelines(first: 100) { nodes { id } } }", RESPONSE)

    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
    assert 1 <= int(response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "PATCH"])
async def test_other_methods_are_told_those_there_are(engine: AsyncEngine, method: str):
    response = await send(Client(engine), method, params={"query": "{ __typename }"}, headers=GET)

    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


async def test_a_query_may_be_sent_with_get(engine: AsyncEngine):
    parameters = {
        "query": "query A { a: __typename } query B($who: ID!) { node(id: $who) { id } }",
        "operationName": "B",
        "variables": json.dumps({"who": "VW5pdDox"}),
        "extensions": "{}",
    }

    response = await send(Client(engine), "GET", params=parameters, headers=GET)

    assert (response.status_code, response.json()) == (200, {"data": {"node": None}})
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Content-Type": "text/plain"}, 400),
        ({"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, 400),
        ({"Content-Type": "application/json"}, 200),
        ({"GraphQL-Require-Preflight": "yes"}, 200),
    ],
)
async def test_a_get_is_answered_only_when_a_page_elsewhere_cannot_have_sent_it_unasked(
    engine: AsyncEngine, headers: dict[str, str], status: int
):
    response = await send(Client(engine), "GET", params={"query": "{ __typename }"}, headers=headers)

    assert response.status_code == status


async def test_a_mutation_is_not_for_get(engine: AsyncEngine):
    response = await send(Client(engine), "GET", params={"query": "mutation { __typename }"}, headers=GET)

    assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_a_subscription_may_come_as_an_event_stream_with_get(engine: AsyncEngine):
    headers = {**GET, "Accept": "text/event-stream", "Authorization": "Bearer none"}
    refused = await send(Client(engine), "GET", params={"query": SUBSCRIPTION}, headers=headers)
    without = await send(Client(engine), "GET", params={"query": SUBSCRIPTION}, headers=GET)

    assert refused.status_code == 401
    assert without.json()["errors"][0]["message"].startswith("Subscriptions are served over graphql-transport-ws")


@pytest.mark.parametrize(
    "parameters",
    [
        [],
        [("query", "")],
        [("query", "{ __typename }"), ("query", "{ a: __typename }")],
        [("query", "{ __typename }"), ("variables", "{")],
        [("query", "{ __typename }"), ("variables", "[]")],
        [("query", "{ __typename }"), ("extensions", "7")],
    ],
)
async def test_parameters_that_are_no_request_are_refused(engine: AsyncEngine, parameters: list[tuple[str, str]]):
    response = await send(Client(engine), "GET", params=parameters, headers=GET)

    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "gzip, gzip"])
async def test_a_compressed_body_is_refused(engine: AsyncEngine, coding: str):
    body = gzip.compress(b'{"query": "{ __typename }"}')
    headers = {"Content-Type": JSON, "Content-Encoding": coding}

    response = await send(Client(engine), content=body, headers=headers)

    assert (response.status_code, response.headers["accept-encoding"]) == (415, "identity")


async def test_a_body_in_another_encoding_than_utf_8_is_refused(engine: AsyncEngine):
    headers = {"Content-Type": "application/json; charset=iso-8859-1"}

    response = await send(Client(engine), content=b'{"query": "{ __typename }"}', headers=headers)

    assert response.status_code == 415


async def test_a_syntax_error_is_400_also_for_who_takes_an_event_stream_alone(engine: AsyncEngine):
    response = await ask(Client(engine), "subscription {", "text/event-stream")

    assert (response.status_code, response.headers["content-type"]) == (400, JSON)
    assert response.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"
