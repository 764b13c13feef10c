"""Reporting years and their settings."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.metadata import NOW, Base, provider_enum


class YearConfiguration(Base):
    """A reporting year of one provider. `configuration_completed` is stamped by its unit sync."""

    __tablename__ = "year_configuration"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    provider: Mapped[str] = mapped_column(provider_enum, primary_key=True)
    is_started: Mapped[bool] = mapped_column(server_default=text("false"))
    configuration_completed: Mapped[datetime | None]
    config: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)
