"""Job types from outside: modules that register theirs when they are imported."""

import importlib
from collections.abc import Iterable

from gql_server.errors import Stop


def load_job_modules(names: Iterable[str]) -> None:
    """Import each module, once. Raises Stop with one line for a module that is unknown or fails."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise Stop(f"GQL_JOB_MODULES: {name} cannot be imported: {reason}") from error
