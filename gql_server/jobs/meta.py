"""The allow-list of the job's JSON bag. What it does not name never leaves the database."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, func

from gql_server import models
from gql_server.sql import constant

ALLOWED = ("provider_name", "filters", "status_history", "phases")


def allowed(keys: Iterable[str] | None) -> tuple[str, ...]:
    """The named keys that may be shown, all of them for None, in the order of the allow-list."""
    asked = ALLOWED if keys is None else set(keys)
    return tuple(key for key in ALLOWED if key in asked)


def projection(keys: Iterable[str]) -> ColumnElement[Any]:
    """An object of just these keys; one the bag has not is JSON null."""
    pairs = (part for key in keys for part in (constant(key), models.Job.meta[key]))
    return func.jsonb_build_object(*pairs)
