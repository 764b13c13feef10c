"""The operations an operator starts from, each a file under `operations/`, in the order of their tabs."""

from importlib import resources

from gql_server.edge.graphiql import Tab


def operator_tabs(job_id: int = 1, year: int = 2025) -> tuple[Tab, ...]:
    """The default tabs; `job_id` names the job, and by it the pipeline, that the detail and live tabs point at."""
    one = {"by": {"jobId": job_id}}
    return (
        Tab(_operation("latest_pipelines")),
        Tab(_operation("what_failed")),
        Tab(_operation("one_pipeline"), one),
        Tab(_operation("why_stuck"), one),
        Tab(_operation("row_errors"), {"job": job_id}),
        Tab(_operation("follow_pipeline"), one),
        Tab(_operation("year_board"), {"year": year}),
        Tab(_operation("fleet")),
        Tab(_operation("price_first")),
        Tab(_operation("who_am_i")),
    )


def _operation(name: str) -> str:
    return resources.files("gql_server.edge").joinpath("operations", f"{name}.graphql").read_text("utf-8").rstrip()
