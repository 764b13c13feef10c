"""Commands that run until they are told to end: the demo, the API, workers."""

from pathlib import Path
from typing import Annotated

import typer

from gql_server.cli import opening
from gql_server.cli.program import Host, Port, app
from gql_server.errors import Stop

PACKAGE = Path(__file__).parent.parent
EXAMPLES = next((folder for folder in (PACKAGE / "examples", PACKAGE.parent / "examples") if folder.is_dir()), Path("examples"))
"""Example files: inside the package in a wheel, beside it in a checkout."""
DEMO_METRICS_PORT = 9090


@app.command()
def demo(
    port: Port = None,
    host: Host = None,
    replay: Annotated[bool, typer.Option(help="Keep uploading at a human pace: something for subscriptions to show.")] = False,
    examples: Annotated[Path, typer.Option(help="Folder of the example files.")] = EXAMPLES,
) -> None:
    """Run everything here: database, API, worker, and a real operating day on the first start."""
    settings = opening.settings(host, port, otherwise={"log_level": "ERROR"})
    if not examples.is_dir():
        raise Stop(f"the example files are not in {examples}: name their folder with --examples")
    with (
        opening.listening(settings) as listener,
        opening.watched(settings, DEMO_METRICS_PORT) as watched,
        opening.database(settings) as dsn,
    ):
        from gql_server import processes

        processes.run(processes.demo(settings, dsn, listener, examples, replay=replay, watched=watched))


@app.command()
def serve(port: Port = None, host: Host = None) -> None:
    """Serve the API only; workers run beside it."""
    settings = opening.settings(host, port)
    opening.refuse_development_secret(settings)
    with opening.listening(settings) as listener, opening.watched(settings) as watched, opening.database(settings) as dsn:
        from gql_server import processes

        processes.run(processes.serve(settings, dsn, listener, watched))


@app.command()
def worker(
    drain: Annotated[bool, typer.Option(help="Stop when nothing is left to claim.")] = False,
) -> None:
    """Claim and run jobs, on any number of machines that reach the database."""
    settings = opening.settings()
    with opening.watched(settings) as watched, opening.database(settings) as dsn:
        from gql_server import processes

        processes.run(processes.work(settings, dsn, drain=drain, watched=watched))
