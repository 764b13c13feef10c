"""GraphQL requests as they come over HTTP: a POST of JSON, or a GET that no page of another origin can have made."""

from typing import Any, cast

import orjson
from cross_web import HTTPException
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope
from strawberry.http import GraphQLRequestData

from gql_server.http.connections import whole_body
from gql_server.http.documents import ID_NAMES, Documents, has_document
from gql_server.http.head import Head, head_of
from gql_server.http.media import check_body
from gql_server.http.refusals import Refusal

METHODS = {"Allow": "GET, POST"}
PREFLIGHT = b"graphql-require-preflight"
SIMPLE = ("", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
"""Content types that a browser sends to another origin without asking it first."""
OPTIONAL: dict[str, type] = {"variables": dict, "operationName": str, "extensions": dict}
PARAMETERS = ("query", *ID_NAMES, *OPTIONAL)


async def request_data(scope: Scope, receive: Receive, max_bytes: int, documents: Documents) -> GraphQLRequestData:
    """Operation that is asked for. Raises HTTPException, BadInput or PersistedQueryNotFound."""
    if scope["method"] == "POST":
        check_body(head_of(scope), max_bytes)
        return _data(_json(await whole_body(receive, max_bytes), "body"), documents)
    _check_preflight(head_of(scope))
    return _data(_parameters(scope["query_string"]), documents)


def check_method(scope: Scope) -> None:
    """Raises HTTPException (405)."""
    if scope["method"] not in ("GET", "POST"):
        raise Refusal(405, "Send the operation with POST, or a query with GET.", METHODS)


def _check_preflight(head: Head) -> None:
    """Raises HTTPException for a request that a page of another origin may have made unasked."""
    simple = head.text(b"content-type").partition(";")[0].strip().lower() in SIMPLE
    if simple and not head.get(PREFLIGHT):
        raise HTTPException(400, "A GET needs the header `GraphQL-Require-Preflight: 1`, or send the operation with POST.")


def _parameters(query_string: bytes) -> dict[str, Any]:
    given = [(name, value) for name, value in QueryParams(query_string).multi_items() if name in PARAMETERS]
    if len({name for name, _ in given}) < len(given):
        raise HTTPException(400, "A parameter is given more than once.")
    return {
        name: _json(value.encode(), f"parameter `{name}`") if OPTIONAL.get(name) is dict and value else value or None
        for name, value in given
    }


def _json(text: bytes | bytearray, name: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise HTTPException(400, f"The {name} is not JSON.") from None


def _data(given: object, documents: Documents) -> GraphQLRequestData:
    if not isinstance(given, dict) or not is_well_formed(request := cast("dict[str, Any]", given)):
        raise HTTPException(400, "The request must be an object with a `query`; see the GraphQL over HTTP draft.")
    text = documents.text(request)
    return GraphQLRequestData(text, request.get("variables"), request.get("operationName"), request.get("extensions"))


def is_well_formed(request: dict[str, Any]) -> bool:
    """True if it asks for a document, and what may be left out is as it should be."""
    for name, kind in OPTIONAL.items():
        value = request.get(name)
        if value is not None and not isinstance(value, kind):
            return False
    return has_document(request)
