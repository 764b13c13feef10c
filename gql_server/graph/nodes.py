"""Global ids, `base64("Pipeline:<key>")`, and the interface of everything that has one."""

from base64 import b64decode
from binascii import b2a_base64
from typing import Any
from uuid import UUID

import strawberry

from gql_server.errors import BadInput
from gql_server.execution import any_source

DESCRIPTION = "Global id, to refetch this with `node`."


def encode(type_name: str, key: object) -> str:
    return b2a_base64(f"{type_name}:{key}".encode(), newline=False).decode()


def decode(global_id: str) -> tuple[str, str]:
    """Type name and key. Raises BadInput when it is no global id."""
    try:
        type_name, separator, key = b64decode(global_id, validate=True).decode().partition(":")
    except ValueError:
        type_name, separator, key = "", "", ""
    if not (type_name and separator and key) or "\0" in key:
        raise BadInput(f"Not a global id: {global_id!r}.")
    return type_name, key


def key_of(type_name: str, global_id: str) -> str:
    """The key in a global id of that type. Raises BadInput for an id of another type."""
    found, key = decode(global_id)
    if found != type_name:
        raise BadInput(f"Not the global id of a {type_name}: {global_id!r}.")
    return key


def integer_key(type_name: str, global_id: str) -> int:
    """The key in a global id whose type is numbered, within PostgreSQL's integers. Raises BadInput."""
    key = key_of(type_name, global_id)
    if not (key.isascii() and key.isdigit() and int(key) < 2**31):
        raise BadInput(f"Not a global id: {global_id!r}.")
    return int(key)


def uuid_key(type_name: str, global_id: str) -> UUID:
    """The key in a global id whose type is named by a UUID. Raises BadInput."""
    try:
        return UUID(key_of(type_name, global_id))
    except ValueError:
        raise BadInput(f"Not a global id: {global_id!r}.") from None


def global_id(key: str) -> Any:
    """The `id` field of a node whose rows carry `node_type` and, under the name `key`, what identifies them."""

    def resolve(root: strawberry.Parent[Any]) -> strawberry.ID:
        return strawberry.ID(encode(root.node_type, getattr(root, key)))

    return strawberry.field(resolver=resolve, description=DESCRIPTION, metadata={"global_id": key})


@strawberry.interface(description="Anything that can be refetched by its global ID.")
class Node:
    id: strawberry.ID = strawberry.field(description=DESCRIPTION)

    # the sources are rows: the queries that made them know what they are
    is_type_of = staticmethod(any_source)

    @staticmethod
    def resolve_type(source: Any, _info: object, _abstract: object) -> str:
        return source.node_type
