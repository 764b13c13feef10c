"""The change feed."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.metadata import NOW, Base

EVENT_RETENTION = timedelta(days=1)
"""Time for which the feed can be resumed from where it was left."""


class Event(Base):
    """One visible change, numbered in commit order by a deferred trigger; it says what changed, never the data.

    `cause_key` is the pipeline whose success made this one good, or does so no longer, or that repeats it; who does not
    see that is not told.
    """

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    pipeline_key: Mapped[UUID]
    job_id: Mapped[int | None]
    cause_key: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(server_default=NOW)

    __table_args__ = (Index("ix_events_pipeline", "pipeline_key", "seq"),)
