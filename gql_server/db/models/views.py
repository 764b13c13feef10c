"""Saved operations."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.metadata import NOW, TIME_ORDERED_ID, Base, provider_enum


class TriageView(Base):
    """An operation that somebody saved, for themselves or for everyone of their provider."""

    __tablename__ = "triage_views"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=TIME_ORDERED_ID)
    provider: Mapped[str] = mapped_column(provider_enum)
    owner_subject: Mapped[str]
    owner: Mapped[dict[str, Any]]
    name: Mapped[str]
    description: Mapped[str | None]
    document: Mapped[str]
    document_id: Mapped[str]
    variables: Mapped[dict[str, Any] | None]
    is_shared: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        Index("ix_triage_views_owner", "provider", "owner_subject"),
        Index("ix_triage_views_shared", "provider", postgresql_where=text("is_shared")),
    )
