"""Commands that users gave: their keys, bulk aborts, and the audit log."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.metadata import NOW, TIME_ORDERED_ID, Base, provider_enum


class IdempotencyKey(Base):
    """A command that was done under a client's key; sent again, it is answered with the same outcome."""

    __tablename__ = "idempotency_keys"

    provider: Mapped[str] = mapped_column(provider_enum, primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    mutation: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[UUID] = mapped_column(primary_key=True)
    input_digest: Mapped[str]
    outcome: Mapped[Any | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)


class BulkAbort(Base):
    """An abort of many pipelines, from its preview on. The first `done` of them are done with; `refused` are of those."""

    __tablename__ = "bulk_aborts"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=TIME_ORDERED_ID)
    provider: Mapped[str] = mapped_column(provider_enum)
    subject: Mapped[str]
    pipeline_ids: Mapped[list[UUID]]
    reason: Mapped[str | None]
    done: Mapped[int] = mapped_column(server_default=text("0"))
    succeeded: Mapped[int] = mapped_column(server_default=text("0"))
    refused: Mapped[list[UUID]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_bulk_aborts_created_at", "created_at"),)


class AuditEntry(Base):
    """One command that was done: by whom, to what, and the fields it changed. Rows are never changed."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    provider: Mapped[str] = mapped_column(provider_enum)
    actor: Mapped[dict[str, Any]]
    command: Mapped[str]
    target: Mapped[dict[str, Any]]
    changes: Mapped[dict[str, Any] | None]
