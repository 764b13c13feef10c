"""The command line. What a command runs is imported when it runs, so that help and tokens come at once."""

import os
import signal
import sys
from typing import NoReturn

from pydantic import ValidationError

from gql_server import logs
from gql_server.cli.program import app
from gql_server.db import embedded
from gql_server.errors import Stop

# isort: split
# in the order in which help names them
from gql_server.cli import running

# isort: split
from gql_server.cli import databases, definitions, tokens

__all__ = ["app", "databases", "definitions", "main", "running", "tokens"]


def main() -> None:
    """The entry point: every expected failure is one line on standard error."""
    # until the servers handle it, SIGTERM unwinds like Ctrl-C, so that a database that was started is stopped again
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:
            signal.signal(getattr(signal, name), signal.default_int_handler)
    logs.configure("INFO", json=os.environ.get("GQL_LOG_JSON", "").lower() in ("1", "true", "yes", "on"))
    try:
        app()
    except (Stop, embedded.EmbeddedError) as error:
        _fail(str(error))
    except ValidationError as error:
        first = error.errors()[0]
        name, *inside = map(str, first["loc"])
        example = ": seconds, or ISO 8601 such as P30D or PT10S" if first["type"].startswith("time_delta") else ""
        _fail(f"{': '.join([f'GQL_{name.upper()}', *inside])}: {first['msg'].removeprefix('Value error, ')}{example}")
    except Exception as error:
        logs.crashed(error)
        sys.exit(1)


def _fail(message: str) -> NoReturn:
    logs.failed(message)
    sys.exit(1)
