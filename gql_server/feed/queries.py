"""The position of the feed, to be read in the same snapshot as the rows it belongs to."""

from sqlalchemy import ScalarSelect, Text, cast, func, select, text

from gql_server import models

# A cluster's identifier and the database in it: a restored copy or a clone gets another epoch, a restart does not.
EPOCH = text(
    "(SELECT system_identifier || '.' || oid FROM pg_control_system(), pg_database WHERE datname = current_database())"
)
LAST_SEQUENCE = select(func.coalesce(func.max(models.Event.seq), 0)).scalar_subquery()


def position() -> ScalarSelect[str]:
    """`epoch:sequence` of the newest event that the snapshot sees."""
    return select(func.concat(EPOCH, ":", cast(LAST_SEQUENCE, Text))).scalar_subquery()
