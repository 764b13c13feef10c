"""Ends of credentials, as the database tells of them: sessions by their id, service tokens by their digest."""

from collections.abc import Collection
from enum import StrEnum
from typing import NamedTuple

import asyncpg

CHANNEL = "gql_credentials"
ALL = "*"
ENDED = """
SELECT key FROM unnest($1::bytea[]) AS held (key)
WHERE NOT EXISTS (SELECT FROM browser_sessions s WHERE s.id = key)
  AND NOT EXISTS (SELECT FROM service_tokens t WHERE t.digest = key AND t.revoked_at IS NULL)
"""


class Cause(StrEnum):
    """Fate of a credential: it is good no more, or its holder may do something else."""

    ENDED = "ended"
    CHANGED = "changed"


class Notice(NamedTuple):
    """Fate of the credential with this key; of every one for None."""

    cause: Cause
    key: bytes | None

    @classmethod
    def parse(cls, payload: str) -> "Notice":
        """The notice that a trigger has sent. Raises ValueError."""
        cause, _, key = payload.partition(" ")
        return cls(Cause(cause), None if key == ALL else bytes.fromhex(key))


async def ended(connection: asyncpg.Connection, keys: Collection[bytes], seconds: float) -> list[bytes]:
    """Keys of these whose credential was taken back; one that has expired was not. Raises TimeoutError."""
    return [row["key"] for row in await connection.fetch(ENDED, list(keys), timeout=seconds)]
