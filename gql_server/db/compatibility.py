"""Do this program and a database go together: each migration says whether the programs before it still work with it.

What a database works with is noted in it by whoever migrates it, for older programs to read: they do not know its migrations.
"""

from dataclasses import dataclass
from enum import Enum, auto

from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from gql_server.db import migrate

EXPANDS = "EXPANDS"
"""Attribute of a migration module: True if it only adds, so that the programs before it still work."""
NOTED = "SELECT col_description(to_regclass('alembic_version'), 1)"


class Standing(Enum):
    """Relation of a database to this program: at its migration, behind it, ahead but usable, or for newer programs alone."""

    CURRENT = auto()
    BEHIND = auto()
    AHEAD = auto()
    TOO_NEW = auto()


@dataclass(frozen=True, slots=True)
class Schema:
    """The migration that a database is at, and the programs that work with it, by their newest migration."""

    revision: str | None
    programs: str | None

    @property
    def standing(self) -> Standing:
        own = migrate.head_revision()
        if self.revision == own:
            return Standing.CURRENT
        if self.revision is None or _is_known(self.revision):
            return Standing.BEHIND
        return Standing.AHEAD if own in (self.programs or "").split() else Standing.TOO_NEW

    @property
    def is_usable(self) -> bool:
        """True if this program works with it."""
        return self.standing in (Standing.CURRENT, Standing.AHEAD)

    def explained(self) -> tuple[str, str | None]:
        """A sentence on how it stands, and what to do."""
        own = migrate.head_revision()
        match self.standing:
            case Standing.CURRENT:
                return f"at {own}, as this version needs", None
            case Standing.BEHIND:
                return f"at {self.revision or 'none'}, this version needs {own}", "run: gql-server migrate"
            case Standing.AHEAD:
                return f"at {self.revision}, of a newer version, with which this one ({own}) still works", None
            case Standing.TOO_NEW:
                advice = "install the version that migrated it, or a newer one"
                return f"this program is older than the database: that is at {self.revision}, this version knows {own}", advice


def read(connection: Connection) -> Schema:
    """The schema that the database has."""
    return Schema(migrate.current_revision(connection), connection.scalar(text(NOTED)))


def note(connection: Connection, revision: str | None) -> None:
    """Tell programs of other versions whether they work with the database at that migration."""
    if revision is None or migrate.current_revision(connection) is None:
        return
    noted = " ".join(programs_of(migrate.scripts(), revision))
    if connection.scalar(text(NOTED)) != noted:
        connection.execute(text(f"COMMENT ON COLUMN alembic_version.version_num IS '{noted}'"))


def programs_of(scripts: ScriptDirectory, revision: str) -> list[str]:
    """The programs that work with a database at that migration: its own, and those before it, back to where one takes away."""
    found: list[str] = []
    for script in scripts.iterate_revisions(revision, "base"):
        found.append(script.revision)
        if getattr(script.module, EXPANDS, False) is not True:
            break
    return found


def _is_known(revision: str) -> bool:
    try:
        migrate.scripts().get_revision(revision)
    except CommandError:
        return False
    return True
