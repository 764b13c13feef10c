"""Metadata of every table, and the column types and defaults that they share."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Enum, Integer, MetaData, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase

from gql_server.db.models.enums import EntityType, IngestionMethod, JobResult, JobState, Provider, TargetType


class Base(DeclarativeBase):
    """Metadata of every table, with names for all constraints so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[int]: ARRAY(Integer),
        list[str]: ARRAY(Text),
        list[UUID]: ARRAY(Uuid()),
        str: Text,
        UUID: Uuid(),
    }


def native_enum(members: type[StrEnum], name: str) -> Enum:
    """A native enum that reads and writes plain strings, so that a value unknown to this version does not break a read."""
    return Enum(*[member.value for member in members], name=name)


entity_type_enum = native_enum(EntityType, "entity_type_enum")
ingestion_method_enum = native_enum(IngestionMethod, "ingestion_method_enum")
target_type_enum = native_enum(TargetType, "target_type_enum")
provider_enum = native_enum(Provider, "user_provider_enum")
job_state_enum = native_enum(JobState, "ingestion_state_enum")
job_result_enum = native_enum(JobResult, "ingestion_result_enum")
TIME_ORDERED_ID = text("gql_uuid7()")
NOW = func.clock_timestamp()
SECONDS_OF_RUN = "greatest(extract(epoch FROM finished_at - started_at)::double precision, 0::double precision)"
RUN_SECONDS = "(\nCASE\nWHEN started_at IS NOT NULL THEN duration_seconds\nELSE NULL::double precision\nEND)"
"""The value of `db.expressions.run_seconds` as an index holds it, in the lines in which PostgreSQL shows it."""
