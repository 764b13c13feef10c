"""Sessions of browsers in the database. All instants are on its clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import NOW, BrowserSession

S = BrowserSession
COLUMNS = (S.person, S.sealed, S.vouched_at, S.vouched_until, S.expires_at)


@dataclass(frozen=True, slots=True)
class Session:
    """A session: whose it is, what is sealed in it, from when until when the identity provider vouches for it, and when it ends
    at the latest."""

    person: dict[str, Any]
    sealed: bytes
    vouched_at: datetime
    vouched_until: datetime
    expires_at: datetime


class Sessions:
    """The sessions, by id."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, id: bytes, person: dict[str, Any], sealed: bytes, vouched_for: timedelta, lifetime: timedelta) -> None:
        """Keep a session. Those that have expired go."""
        values = {"person": person, "sealed": sealed, "vouched_until": NOW + min(vouched_for, lifetime)}
        async with self._engine.begin() as connection:
            await connection.execute(delete(S).where(S.expires_at < NOW))
            await connection.execute(insert(S).values(id=id, expires_at=NOW + lifetime, **values))

    async def find(self, id: bytes) -> Session | None:
        """The session, unless it has expired or was removed."""
        async with self._engine.connect() as connection:
            return _session((await connection.execute(select(*COLUMNS).where(S.id == id, S.expires_at > NOW))).one_or_none())

    async def claim_renewal(self, id: bytes, session: Session, patience: timedelta) -> bool:
        """True if the caller, and for as long nobody else, shall renew the session, which is still as they know it."""
        free = or_(S.renewing_until.is_(None), S.renewing_until < NOW)
        claim = (
            update(S)
            .where(S.id == id, S.vouched_at == session.vouched_at, free)
            .values(renewing_until=NOW + patience)
            .returning(S.id)
        )
        async with self._engine.begin() as connection:
            return await connection.scalar(claim) is not None

    async def give_up_renewal(self, id: bytes) -> None:
        """Let others try."""
        async with self._engine.begin() as connection:
            await connection.execute(update(S).where(S.id == id).values(renewing_until=None))

    async def renew(self, id: bytes, person: dict[str, Any], sealed: bytes, vouched_for: timedelta) -> Session | None:
        """The session as it is from now on, unless it was removed meanwhile."""
        until = func.least(NOW + vouched_for, S.expires_at)
        values = {"person": person, "sealed": sealed, "vouched_at": NOW, "vouched_until": until, "renewing_until": None}
        changed = update(S).where(S.id == id).values(**values)
        async with self._engine.begin() as connection:
            return _session((await connection.execute(changed.returning(*COLUMNS))).one_or_none())

    async def remove(self, id: bytes) -> Session | None:
        """The session that was, if it was."""
        async with self._engine.begin() as connection:
            return _session((await connection.execute(delete(S).where(S.id == id).returning(*COLUMNS))).one_or_none())


def _session(row: Row[*tuple[Any, ...]] | None) -> Session | None:
    return None if row is None else Session(*row)
