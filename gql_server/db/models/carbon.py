"""Business tables that pipelines write."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.metadata import NOW, Base, provider_enum


class Unit(Base):
    """An organisational unit. `institutional_id` is the cost-centre-like code of CSV files and permission scopes."""

    __tablename__ = "units"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    provider: Mapped[str] = mapped_column(provider_enum)
    institutional_code: Mapped[str]
    institutional_id: Mapped[str | None]
    name: Mapped[str]
    level: Mapped[int]
    parent_code: Mapped[str | None]
    path: Mapped[str]
    unit_type: Mapped[str | None]
    principal_user_institutional_id: Mapped[str | None]
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))

    __table_args__ = (
        Index("ix_units_institutional_code", "provider", "institutional_code", unique=True),
        Index("ix_units_institutional_id", "provider", "institutional_id", unique=True),
    )


class User(Base):
    """A person of a provider's directory."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    provider: Mapped[str] = mapped_column(provider_enum)
    institutional_id: Mapped[str]
    email: Mapped[str]
    display_name: Mapped[str]

    __table_args__ = (
        Index("ix_users_institutional_id", "provider", "institutional_id", unique=True),
        Index("ix_users_email", "provider", "email", unique=True),
    )


class UnitUser(Base):
    """Role of a user in a unit."""

    __tablename__ = "unit_users"

    unit_id: Mapped[int] = mapped_column(ForeignKey("units.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str]

    __table_args__ = (Index("ix_unit_users_user_id", "user_id"),)


class CarbonProject(Base):
    """The calculator of a unit, which holds one report a year."""

    __tablename__ = "carbon_projects"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    unit_id: Mapped[int] = mapped_column(ForeignKey("units.id"))
    carbon_report_type: Mapped[str] = mapped_column(server_default="Calculator")

    __table_args__ = (UniqueConstraint("unit_id", "carbon_report_type", name="uq_carbon_projects_unit_type"),)


class CarbonReport(Base):
    """The footprint of a unit in a year. `stats` is the sum over its modules."""

    __tablename__ = "carbon_reports"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    year: Mapped[int]
    unit_id: Mapped[int] = mapped_column(ForeignKey("units.id"))
    carbon_project_id: Mapped[int] = mapped_column(ForeignKey("carbon_projects.id"))
    last_updated: Mapped[datetime] = mapped_column(server_default=NOW)
    completion_progress: Mapped[str | None]
    overall_status: Mapped[int] = mapped_column(server_default=text("0"))
    stats: Mapped[dict[str, Any] | None]

    __table_args__ = (
        UniqueConstraint("carbon_project_id", "year", name="uq_carbon_reports_project_year"),
        Index("ix_carbon_reports_year_unit", "year", "unit_id"),
        Index("ix_carbon_reports_unit_id", "unit_id"),
    )


class CarbonReportModule(Base):
    """One module of a report ("crm"). `status`: 0 not started, 1 in progress, 2 validated."""

    __tablename__ = "carbon_report_modules"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    module_type_id: Mapped[int]
    status: Mapped[int] = mapped_column(server_default=text("0"))
    carbon_report_id: Mapped[int] = mapped_column(ForeignKey("carbon_reports.id"))
    last_updated: Mapped[datetime] = mapped_column(server_default=NOW)
    stats: Mapped[dict[str, Any] | None]

    __table_args__ = (
        UniqueConstraint("carbon_report_id", "module_type_id", name="uq_carbon_report_modules_report_module"),
        Index("ix_carbon_report_modules_module", "module_type_id", "carbon_report_id"),
    )


class DataEntry(Base):
    """One accepted input row. `source` tells who wrote it, and so what a re-upload replaces.

    `upload_id` is the upload that brought it: a row of `uploads`, which the job that read it keeps there. `lack` is why its
    last recalculation gave it no emission.
    """

    __tablename__ = "data_entries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    provider: Mapped[str] = mapped_column(provider_enum)
    data_entry_type_id: Mapped[int]
    carbon_report_module_id: Mapped[int] = mapped_column(ForeignKey("carbon_report_modules.id"))
    data: Mapped[dict[str, Any]]
    year: Mapped[int]
    unit_id: Mapped[int] = mapped_column(ForeignKey("units.id"))
    source: Mapped[int]
    upload_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    lack: Mapped[str | None]

    __table_args__ = (
        Index("ix_data_entries_lacking", "provider", "year", "data_entry_type_id", postgresql_where=text("lack IS NOT NULL")),
        Index("ix_data_entries_slice", "provider", "data_entry_type_id", "year", "source"),
        Index("ix_data_entries_module", "carbon_report_module_id", "data_entry_type_id"),
        Index("ix_data_entries_unit_id", "unit_id"),
    )


class DataEntryEmission(Base):
    """One computed emission of an entry, in kg CO2-eq. A rollup row has `scope` null and is never added to totals."""

    __tablename__ = "data_entry_emissions"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    data_entry_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("data_entries.id", ondelete="CASCADE"))
    emission_type_id: Mapped[int]
    primary_factor_id: Mapped[int | None] = mapped_column(ForeignKey("factors.id", ondelete="CASCADE"))
    kg_co2eq: Mapped[float]
    additional_value: Mapped[float | None]
    scope: Mapped[int | None]
    meta: Mapped[dict[str, Any] | None]
    computed_at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        Index("ix_data_entry_emissions_entry", "data_entry_id"),
        Index("ix_data_entry_emissions_factor", "primary_factor_id"),
    )


class Factor(Base):
    """An emission factor of a year. Uploads overwrite values by identity and keep the id."""

    __tablename__ = "factors"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    provider: Mapped[str] = mapped_column(provider_enum)
    emission_type_id: Mapped[int]
    data_entry_type_id: Mapped[int]
    classification: Mapped[dict[str, Any]]
    values: Mapped[dict[str, Any]]
    year: Mapped[int]
    last_seen_job_id: Mapped[int | None] = mapped_column(ForeignKey("data_ingestion_jobs.id", ondelete="SET NULL"))

    __table_args__ = (
        Index(
            "uq_factor_identity",
            "provider",
            "data_entry_type_id",
            "year",
            "emission_type_id",
            text("(classification::text)"),
            unique=True,
        ),
        Index("ix_factors_last_seen_job_id", "last_seen_job_id"),
    )


class ReferenceData(Base):
    """One row that entries of a module look up by key, such as a room or an airport. No entry type: all of the module's."""

    __tablename__ = "reference_data"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    provider: Mapped[str] = mapped_column(provider_enum)
    year: Mapped[int]
    module_type_id: Mapped[int]
    data_entry_type_id: Mapped[int | None]
    key: Mapped[str]
    data: Mapped[dict[str, Any]]

    __table_args__ = (
        UniqueConstraint(
            "provider",
            "year",
            "module_type_id",
            "data_entry_type_id",
            "key",
            name="uq_reference_data_key",
            postgresql_nulls_not_distinct=True,
        ),
    )
