"""Workers, and the revisions that they ran."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from gql_server.db.models.metadata import NOW, Base


class Pod(Base):
    """A worker process, known by its heartbeat. Each says at what interval it beats, and how long it may be silent on a job."""

    __tablename__ = "pods"

    pod_id: Mapped[str] = mapped_column(primary_key=True)
    git_sha: Mapped[str | None]
    app_version: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)
    last_heartbeat_at: Mapped[datetime] = mapped_column(server_default=NOW)
    heartbeat_interval: Mapped[timedelta] = mapped_column(server_default=text("'00:00:05'"))
    lease: Mapped[timedelta] = mapped_column(server_default=text("'00:00:10'"))


class Revision(Base):
    """A revision that a worker ran, and when the first one did."""

    __tablename__ = "revisions"

    revision: Mapped[str] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)
