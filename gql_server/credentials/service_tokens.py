"""Service tokens in the database: by the hash of what a service sends."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import NOW, ServiceToken

PREFIX = "gqls_"
"""Beginning of every service token, by which people and scanners of secrets know it."""
USED_AGAIN = timedelta(minutes=1)
T = ServiceToken
COLUMNS = (
    *(T.id, T.name, T.role, T.unit, T.provider, T.scopes),
    *(T.created_at, T.expires_at, T.used_at, T.revoked_at, T.expires_at <= NOW),
)


@dataclass(frozen=True, slots=True)
class Service:
    """A service token, but for its secret."""

    id: int
    name: str
    role: str
    unit: str | None
    provider: str
    scopes: Collection[str]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None
    has_expired: bool

    @property
    def is_good(self) -> bool:
        return self.revoked_at is None and not self.has_expired


class ServiceTokens:
    """The service tokens."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(
        self, name: str, *, role: str, unit: str | None, provider: str, scopes: Collection[str], lifetime: timedelta
    ) -> str:
        """A new token, which nobody can read again."""
        token = f"{PREFIX}{secrets.token_urlsafe(32)}"
        values = {"name": name, "role": role, "unit": unit, "provider": provider, "scopes": sorted(scopes)}
        async with self._engine.begin() as connection:
            await connection.execute(insert(T).values(**values, digest=digest(token), expires_at=NOW + lifetime))
        return token

    async def find(self, token: str) -> Service | None:
        """Look up a token, if it is good; that it is used is noted once a minute."""
        known = T.digest == digest(token)
        unused = or_(T.used_at.is_(None), T.used_at < NOW - USED_AGAIN)
        async with self._engine.begin() as connection:
            row = (await connection.execute(select(*COLUMNS).where(known))).one_or_none()
            found = None if row is None else Service(*row)
            if found is None or not found.is_good:
                return None
            await connection.execute(update(T).where(known, unused).values(used_at=NOW))
        return found

    async def all(self) -> list[Service]:
        """Every token that was made, the newest first."""
        async with self._engine.connect() as connection:
            return [Service(*row) for row in await connection.execute(select(*COLUMNS).order_by(T.id.desc()))]

    async def revoke(self, id: int) -> str | None:
        """Take a token back; the name of its service, unless there is none that was not revoked."""
        changed = update(T).where(T.id == id, T.revoked_at.is_(None)).values(revoked_at=NOW).returning(T.name)
        async with self._engine.begin() as connection:
            return await connection.scalar(changed)


def digest(token: str) -> bytes:
    """Key of a token in the database."""
    return hashlib.sha256(token.encode()).digest()
