"""The operations an operator starts from, each a file under `operations/`, in the order of their tabs."""

from importlib import resources

from gql_server.edge.graphiql import Tab


def operator_tabs(job_id: int = 1) -> tuple[Tab, ...]:
    """The default tabs; `job_id` names the pipeline that the detail and live tabs point at."""
    one = {"by": {"jobId": job_id}}
    return (
        Tab(_operation("latest_pipelines")),
        Tab(_operation("what_failed")),
        Tab(_operation("one_pipeline"), one),
        Tab(_operation("follow_pipeline"), one),
        Tab(_operation("years")),
        Tab(_operation("who_am_i")),
    )


def _operation(name: str) -> str:
    return resources.files("gql_server.edge").joinpath("operations", f"{name}.graphql").read_text("utf-8").rstrip()
