"""Sessions of browsers."""

from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.metadata import NOW, Base


class BrowserSession(Base):
    """Somebody whom the identity provider has vouched for, until it is asked again, by what the secret in their cookie
    leads to. What only the provider shall read is sealed with that secret, which is not kept."""

    __tablename__ = "browser_sessions"

    id: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    person: Mapped[dict[str, Any]]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    vouched_at: Mapped[datetime] = mapped_column(server_default=NOW)
    vouched_until: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    renewing_until: Mapped[datetime | None]
