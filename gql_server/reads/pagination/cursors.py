"""Opaque signed cursors: places of rows in their lists."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from gql_server import base64url
from gql_server.errors import CursorFilterMismatch, CursorInvalid

MAC_BYTES = 16
SCOPE_BYTES = 8


class CursorCodec:
    """Makes and checks cursors: a MAC, a digest of the list they belong to, and the key of a row, in base64url."""

    def __init__(self, secret: bytes) -> None:
        self._keyed = hashlib.blake2b(key=hmac.digest(secret, b"cursors", "sha256"), digest_size=MAC_BYTES)

    def encode(self, scope: str, key: str) -> str:
        signed = _digest(scope) + key.encode()
        return base64url.encode(self._mac(signed) + signed)

    def decode(self, scope: str, cursor: str) -> str:
        """The key of the row. Raises CursorInvalid when not of this server's making, else CursorFilterMismatch."""
        try:
            raw = base64url.decode(cursor)
        except ValueError:
            raise CursorInvalid("This cursor is not valid.") from None
        mac, signed = raw[:MAC_BYTES], raw[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(signed)):
            raise CursorInvalid("This cursor is not valid.")
        if signed[:SCOPE_BYTES] != _digest(scope):
            raise CursorFilterMismatch("This cursor belongs to another list, filter or order: start again without it.")
        return signed[SCOPE_BYTES:].decode()

    def _mac(self, signed: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(signed)
        return mac.digest()


NOBODYS = CursorCodec(b"")


@dataclass(frozen=True, slots=True)
class SortValue:
    """Value by which a list is ordered before its unique key. Rows without a value come last, whichever the direction."""

    name: str
    parse: Callable[[str], Any]
    """Reads a value from the text in a cursor."""


class Cursor(NamedTuple):
    """Place of a row in its list: its value, if the list is ordered by one, and its unique key."""

    value: Any
    key: Any


@lru_cache(maxsize=64)
def _digest(scope: str) -> bytes:
    return hashlib.sha256(scope.encode()).digest()[:SCOPE_BYTES]
