"""Feed tokens: where a client stands in one database's events, sealed, so that they tell nobody how much happens elsewhere."""

import hmac
import os
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from gql_server import base64url
from gql_server.errors import BadInput
from gql_server.feed.held import Held
from gql_server.policy import Viewer

VERSION = b"\x02"
NONCE_BYTES, SEQUENCE_BYTES, DIGEST_BYTES = 12, 8, 8
SEALED_BYTES_MIN = len(VERSION) + NONCE_BYTES + 16


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Place of a reader in the feed. Positions of different epochs cannot be compared: their databases differ."""

    epoch: str
    sequence: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position of a text of the database, `epoch:sequence`. Raises ValueError."""
        epoch, separator, sequence = text.rpartition(":")
        if not (epoch and separator and sequence.isascii() and sequence.isdigit()):
            raise ValueError(text)
        return cls(epoch, int(sequence))

    def span_since(self, before: Self) -> tuple[int, int]:
        """Numbers of the last event then and of the last event now; from 0 when events are numbered anew since."""
        goes_on = before.epoch == self.epoch and before.sequence <= self.sequence
        return (before.sequence if goes_on else 0), self.sequence


class Resume(NamedTuple):
    """Content of a token: the position of its client and, of a list, the pipelines that were delivered to it."""

    position: Position
    held: Held | None = None


NOTHING = Resume(Position("", 0))
"""Content of a token that was sealed by another key, or by a version that did not seal."""


class Tokens:
    """Seals positions for one viewer's eyes, and opens what they bring back.

    Every sealing differs, so that two tokens do not tell whether anything happened between them.
    """

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCMSIV(hmac.digest(secret, b"feed tokens", "sha256"))

    def seal(self, position: Position, viewer: Viewer, held: Held | None = None) -> str:
        """The token of a position, in base64url: only that viewer's eyes can use it, on any server with this secret."""
        nonce, epoch = os.urandom(NONCE_BYTES), position.epoch.encode()
        where = position.sequence.to_bytes(SEQUENCE_BYTES) + len(epoch).to_bytes() + epoch
        said = _access(viewer) + where + (held.pack() if held else b"")
        return base64url.encode(VERSION + nonce + self._cipher.encrypt(nonce, said, VERSION))

    def open(self, token: str, viewer: Viewer) -> Resume:
        """Content of the token; NOTHING for one of another key, an older version, or of who may see something else.

        Raises BadInput for what is no token.
        """
        raw = _raw(token)
        if raw is None:
            raise BadInput("Not a feed token.")
        said = self._decrypted(raw)
        if said is None or said[:DIGEST_BYTES] != _access(viewer):
            return NOTHING
        sequence, rest = said[DIGEST_BYTES:][:SEQUENCE_BYTES], said[DIGEST_BYTES + SEQUENCE_BYTES :]
        epoch, held = rest[1 : rest[0] + 1], rest[rest[0] + 1 :]
        return Resume(Position(epoch.decode(), int.from_bytes(sequence)), Held.unpack(held) if held else None)

    def _decrypted(self, raw: bytes) -> bytes | None:
        nonce, sealed = raw[len(VERSION) :][:NONCE_BYTES], raw[len(VERSION) + NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, sealed, VERSION)
        except (InvalidTag, ValueError):
            return None


def _access(viewer: Viewer) -> bytes:
    """Digest of what the viewer may see."""
    return sha256(repr((viewer.provider, sorted(viewer.permissions))).encode()).digest()[:DIGEST_BYTES]


def _raw(token: str) -> bytes | None:
    """The bytes of a token, sealed or of the version that did not seal; None for what is neither."""
    try:
        raw = base64url.decode(token)
        is_sealed = raw.startswith(VERSION) and len(raw) >= SEALED_BYTES_MIN
        if is_sealed or Position.parse(raw.decode()):
            return raw
    except ValueError:
        pass
    return None


NOWHERE = base64url.encode(VERSION + bytes(SEALED_BYTES_MIN))
"""A token that leads to no position, whatever the key."""
