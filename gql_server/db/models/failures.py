"""Groups of failures by cause, and who takes care of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.metadata import NOW, Base, provider_enum


class FailureGroup(Base):
    """Group of all jobs with one `failure_fingerprint`. It counts nothing: who sees which of them differs."""

    __tablename__ = "failure_groups"

    provider: Mapped[str] = mapped_column(provider_enum, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    failure_class: Mapped[str]
    job_type: Mapped[str | None]
    title: Mapped[str]
    cause: Mapped[str]
    rule: Mapped[str]


class Acknowledgement(Base):
    """Acknowledgement of a failure group: who takes care of it, and until when if that was said. The latest one counts."""

    __tablename__ = "failure_acknowledgements"

    provider: Mapped[str] = mapped_column(provider_enum, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=NOW)
    by: Mapped[dict[str, Any]]
    until: Mapped[datetime | None]
    note: Mapped[str | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["provider", "fingerprint"], ["failure_groups.provider", "failure_groups.fingerprint"], ondelete="CASCADE"
        ),
    )
