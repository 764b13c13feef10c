"""The status history of a job: what was said of it, and when, in its JSON bag."""

from typing import Any

from sqlalchemy import ColumnElement, SQLColumnExpression, cast, func, literal
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from gql_server.db.models import NOW, HistoryKind

HISTORY_LIMIT = 50
LATEST = f"$[last - {HISTORY_LIMIT - 1} to last]"
"""The entries that are kept, as a path of JSON."""


def history(
    message: str | ColumnElement[str], meta: SQLColumnExpression[Any], kind: HistoryKind | None = None
) -> ColumnElement[Any]:
    """`meta` with one more entry in its status history, of which the latest are kept; without a kind, it is progress."""
    entries = func.coalesce(meta["status_history"], cast(literal("[]"), JSONB))
    told = () if kind is None else ("kind", kind.value)
    entry = func.jsonb_build_array(func.jsonb_build_object("message", message, "ts", NOW, *told))
    latest = func.jsonb_path_query_array(entries.op("||")(entry), cast(LATEST, JSONPATH))
    return meta.op("||")(func.jsonb_build_object("status_history", latest))
