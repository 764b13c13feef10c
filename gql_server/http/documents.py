"""Documents by their ids: trusted ones, of manifests that clients are built with, and those that were sent before."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import orjson

from gql_server.errors import BadInput, Forbidden, PersistedQueryNotFound
from gql_server.policy import API_EXPLORE, Viewer

ID_NAMES = ("documentId", "doc_id")
"""Of the draft, graphql-codegen and graphql-ws; of Relay."""
DIGEST = "sha256:"
KEPT, KEPT_CHARACTERS_MAX = 1_000, 16_384


class Documents:
    """Documents by id: the trusted ones; and those that clients registered with their hash, the latest of them."""

    def __init__(self, trusted: Mapping[str, str] | None = None, *, only_trusted: bool = False) -> None:
        self._trusted = {**(trusted or {}), **{digest(text): text for text in (trusted or {}).values()}}
        self._texts = frozenset(self._trusted.values())
        self._only_trusted = only_trusted
        self._registered: OrderedDict[str, str] = OrderedDict()

    def text(self, request: Mapping[str, Any]) -> str:
        """The document that a request asks for. Raises BadInput, or PersistedQueryNotFound."""
        query = request.get("query")
        if isinstance(query, str) and (query or id_of(request) is None):
            if (sent := _hash_of(request)) is not None:
                self._register(sent, query)
            return query
        id = id_of(request)
        if id is None:
            raise BadInput("The request must have a `query` or a `documentId`; see the GraphQL over HTTP draft.")
        found = self._trusted.get(id) or self._registered.get(id)
        if found is None:
            raise PersistedQueryNotFound("PersistedQueryNotFound")
        return found

    def check(self, text: str, viewer: Viewer) -> None:
        """Raises Forbidden for a document that is not trusted, if only those are executed for this viewer."""
        if self._only_trusted and text not in self._texts and not viewer.may(API_EXPLORE):
            raise Forbidden("only trusted documents are executed: send the `documentId` of one", permission=API_EXPLORE)

    def _register(self, sent: str, text: str) -> None:
        if digest(text) != sent:
            raise BadInput("The hash of the persisted query is not that of its text.")
        if len(text) <= KEPT_CHARACTERS_MAX:
            self._registered[sent] = text
            self._registered.move_to_end(sent)
            if len(self._registered) > KEPT:
                self._registered.popitem(last=False)


def has_document(request: Mapping[str, Any]) -> bool:
    """True if a request says which document it asks for."""
    return isinstance(request["query"], str) if "query" in request else id_of(request) is not None


def id_of(request: Mapping[str, Any]) -> str | None:
    """Id of the document that a request asks for."""
    given = next((request[name] for name in ID_NAMES if isinstance(request.get(name), str)), None)
    id = given or _hash_of(request)
    return id and id.removeprefix(DIGEST)


def manifest(texts: Iterable[str]) -> dict[str, str]:
    """Manifest of documents, by their hash."""
    return {digest(text): text for text in texts}


def load(paths: Iterable[Path]) -> dict[str, str]:
    """The documents of manifests: of graphql-codegen (`persistedDocuments`) and Relay, or of Apollo. Raises ValueError."""
    found: dict[str, str] = {}
    for path in paths:
        try:
            found |= _read(orjson.loads(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from None
    return found


def digest(text: str) -> str:
    """SHA-256 of a document, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _read(content: object) -> dict[str, str]:
    match content:
        case {"format": "apollo-persisted-query-manifest", "operations": [*operations]}:
            given = [(each.get("id"), each.get("body")) for each in cast(list[dict[str, object]], operations)]
        case dict():
            given = [*cast(dict[object, object], content).items()]
        case _:
            given = [(None, None)]
    found = {id.removeprefix(DIGEST): text for id, text in given if isinstance(id, str) and isinstance(text, str)}
    if len(found) < len(given):
        raise ValueError("not a manifest: an object of ids and documents, or Apollo's")
    return found


def _hash_of(request: Mapping[str, Any]) -> str | None:
    """Hash of an automatic persisted query."""
    match request.get("extensions"):
        case {"persistedQuery": {"sha256Hash": str(sent)}}:
            return sent
        case _:
            return None
