"""Uploaded files and their bytes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.enums import Storage
from gql_server.db.models.metadata import NOW, TIME_ORDERED_ID, Base, provider_enum

UNNAMED = "upload.csv"
"""Name of a file whose sender gave it none."""


class Upload(Base):
    """A file a client sent. Its bytes are where `storage` says, for every worker to read, until they are pruned."""

    __tablename__ = "uploads"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=TIME_ORDERED_ID)
    provider: Mapped[str] = mapped_column(provider_enum)
    filename: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    sha256: Mapped[str | None]
    created_by: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    storage: Mapped[str] = mapped_column(server_default=Storage.DATABASE.value)
    pruned_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_uploads_kept", "created_at", postgresql_where=text("pruned_at IS NULL")),
        Index("ix_uploads_sha256", "sha256", postgresql_where=text("sha256 IS NOT NULL")),
    )


class UploadChunk(Base):
    """A piece of an uploaded file, in order of `seq` from 0."""

    __tablename__ = "upload_chunks"

    upload_id: Mapped[UUID] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)
