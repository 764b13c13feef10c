"""PostgreSQL: engines, tables, expressions, migrations, and the embedded server."""

from gql_server.db.driver import FAILURES, DirectConnection, DirectStatement, direct
from gql_server.db.engine import (
    OLDEST_POSTGRESQL,
    SESSION_SETTINGS,
    Engine,
    address,
    connect_arguments,
    create_engine,
    driver_connection,
    dumps,
    milliseconds,
    read_engine,
    work_engine,
)

__all__ = [
    "FAILURES",
    "OLDEST_POSTGRESQL",
    "SESSION_SETTINGS",
    "DirectConnection",
    "DirectStatement",
    "Engine",
    "address",
    "connect_arguments",
    "create_engine",
    "direct",
    "driver_connection",
    "dumps",
    "milliseconds",
    "read_engine",
    "work_engine",
]
