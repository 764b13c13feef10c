"""The position of the feed: which events a snapshot of the database shows."""

from sqlalchemy import ScalarSelect, Text, cast, func, select, text

from gql_server.db import models
from gql_server.db.expressions import Column, constant, number

E = models.Event

# A cluster's identifier and the database in it: a dump restored elsewhere, or a clone, is another epoch; a restart is not.
# Histories of one database, as after it was restored, are told apart by the numbers of their events.
EPOCH = text(
    "(SELECT system_identifier || '.' || oid FROM pg_control_system(), pg_database WHERE datname = current_database())"
)
LAST_SEQUENCE = select(func.coalesce(func.max(E.seq), number(0))).scalar_subquery()


def position() -> ScalarSelect[str]:
    """`epoch:sequence` of the newest event that the snapshot sees."""
    return select(func.concat(EPOCH, constant(":"), cast(LAST_SEQUENCE, Text))).scalar_subquery()


def latest_event(key: Column) -> ScalarSelect[int]:
    """The number of the newest event of the pipeline of that key."""
    return select(func.max(E.seq)).where(E.pipeline_key == key).scalar_subquery()
