"""Keys under which a client may send the same command twice and have it done once."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.models import IdempotencyKey
from gql_server.errors import BadInput
from gql_server.policy import Viewer


@dataclass(frozen=True, slots=True)
class Key:
    """A client's key for one use of a mutation, and a digest of everything else in the input."""

    mutation: str
    key: UUID
    digest: str

    def of(self, part: UUID) -> "Key":
        """The key of one of several things that are done under this one."""
        return replace(self, key=uuid5(self.key, str(part)))


@dataclass(frozen=True, slots=True)
class Earlier:
    """The outcome of the same command at an earlier time."""

    outcome: Any


async def remembered(connection: AsyncConnection, viewer: Viewer, key: Key) -> Earlier | None:
    """Outcome of this key before; None when it is new, and then this transaction holds it.

    Waits for a transaction that holds the key. Raises BadInput when it was used with another input.
    """
    row = IdempotencyKey
    named = {"provider": viewer.provider, "subject": viewer.subject, "mutation": key.mutation, "key": key.key}
    taken = insert(row).values(**named, input_digest=key.digest).on_conflict_do_nothing().returning(row.key)
    if await connection.scalar(taken) is not None:
        return None
    found = (await connection.execute(select(row.input_digest, row.outcome).where(_is(viewer, key)))).one()
    if found.input_digest != key.digest:
        raise BadInput("this key was used before, with another input", argument="idempotencyKey")
    return Earlier(found.outcome)


async def remember(connection: AsyncConnection, viewer: Viewer, key: Key, outcome: object) -> None:
    """Keep the outcome under the key that this transaction holds."""
    await connection.execute(update(IdempotencyKey).where(_is(viewer, key)).values(outcome=outcome))


def _is(viewer: Viewer, key: Key) -> ColumnElement[bool]:
    row = IdempotencyKey
    return and_(
        row.provider == viewer.provider, row.subject == viewer.subject, row.mutation == key.mutation, row.key == key.key
    )
