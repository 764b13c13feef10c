"""Functions and triggers of the database, kept as .sql files and put in place by each migration, never by one of them alone."""

import hashlib
from importlib import resources
from operator import methodcaller
from typing import Any, Literal

from sqlalchemy import Connection, text

Kind = Literal["functions", "triggers"]
"""Functions are what columns and indexes are made with, so they come before the tables; triggers, and functions that statements
call, come after them."""

INSTALLED = text("SELECT obj_description('alembic_version'::regclass)")


def sources(kind: Kind) -> list[str]:
    """The scripts of that kind, in the order of their names. Each can be executed again."""
    folder = resources.files("gql_server.db").joinpath("sql", kind)
    return [file.read_text("utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name)]


def install(connection: Connection, kind: Kind) -> None:
    """Create or replace what the scripts of that kind define."""
    for script in sources(kind):
        connection.execute(text("SELECT 1"))  # so that the script is part of the transaction
        driver: Any = connection.connection.dbapi_connection
        driver.run_async(methodcaller("execute", script))


def digest() -> str:
    """Digest of all scripts, which the database keeps of those that it has."""
    return hashlib.sha256("".join([*sources("functions"), *sources("triggers")]).encode()).hexdigest()


def bring_up_to_date(connection: Connection) -> None:
    """Put everything in place, unless the database has it as it is: triggers lock their tables while they are made."""
    if connection.scalar(INSTALLED) != digest():
        install(connection, "functions")
        install(connection, "triggers")
        connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{digest()}'"))


def forget(connection: Connection) -> None:
    """Have everything put in place the next time: triggers go with their tables."""
    connection.execute(text("COMMENT ON TABLE alembic_version IS NULL"))
