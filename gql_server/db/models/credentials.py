"""Sessions of browsers, and tokens of services."""

from datetime import datetime
from typing import Any

from sqlalchemy import Identity, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.metadata import NOW, Base, provider_enum


class BrowserSession(Base):
    """A signed-in browser's session, under a key derived from the secret in its cookie. `person` is believed until
    `vouched_until`; `sealed` holds the provider's tokens, encrypted with that secret, which is not stored."""

    __tablename__ = "browser_sessions"

    id: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    person: Mapped[dict[str, Any]]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    vouched_at: Mapped[datetime] = mapped_column(server_default=NOW)
    vouched_until: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    renewing_until: Mapped[datetime | None]


class ServiceToken(Base):
    """A token that a company has given to a service, known by its hash: what the role may, as far as the scopes let it."""

    __tablename__ = "service_tokens"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    name: Mapped[str]
    role: Mapped[str]
    unit: Mapped[str | None]
    provider: Mapped[str] = mapped_column(provider_enum)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
