"""The operations an operator starts from, each a file under `operations/`, in the order of their tabs."""

import re
from collections.abc import Iterable
from importlib import resources

from gql_server.feed.tokens import NOWHERE
from gql_server.http.graphiql import Tab

NAME = re.compile(r"^\s*(?:query|mutation|subscription)\s+(\w+)", re.MULTILINE)


def operator_tabs(job_id: int = 1, ingest_id: int = 1, year: int = 2025) -> tuple[Tab, ...]:
    """The default tabs. `job_id` names the pipeline of the detail tabs, `ingest_id` the job whose rejected rows are shown."""
    one = {"by": {"jobId": job_id}}
    return (
        Tab(_operation("console")),
        Tab(_operation("what_broke")),
        Tab(_operation("unresolved")),
        Tab(_operation("why_stuck"), one),
        Tab(_operation("row_errors"), {"job": ingest_id}),
        Tab(_operation("follow_pipeline"), one),
        Tab(_operation("live_list")),
        Tab(_operation("live_strip")),
        Tab(_operation("poll"), {"after": NOWHERE}),
        Tab(_operation("year_board"), {"year": year}),
        Tab(_operation("fleet")),
        Tab(_operation("bulk_abort_preview"), {"filter": {"isActive": True, "years": [year]}}),
        Tab(_operation("price_first")),
        Tab(_operation("who_am_i")),
    )


def operation_texts() -> list[str]:
    """The operations of the default tabs, as the page sends them."""
    return [tab.query for tab in operator_tabs()]


def operations_by_name() -> dict[str, str]:
    """The operations of the default tabs, by their own names."""
    return {names_in([text])[0]: text for text in operation_texts()}


def operation_names() -> list[str]:
    """Names of the operations that are kept here."""
    kept = resources.files("gql_server.http").joinpath("operations").iterdir()
    return names_in(file.read_text("utf-8") for file in kept)


def names_in(documents: Iterable[str]) -> list[str]:
    """Names of the operations of documents."""
    return [name for document in documents for name in NAME.findall(document)]


def _operation(name: str) -> str:
    return resources.files("gql_server.http").joinpath("operations", f"{name}.graphql").read_text("utf-8").rstrip()
