"""The program that commands are of, what it prints with, and options that several of them take."""

from importlib.metadata import version
from typing import Annotated, Literal

import typer
from rich.console import Console

PROVIDERS = Literal["ACCRED", "DEFAULT", "TEST"]
ROLES = Literal["superadmin", "operator", "principal", "standard"]

app = typer.Typer(
    help="A ledger of data-ingestion pipelines, the workers that run them, and one live graph over both.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
services = typer.Typer(help="Tokens of services, such as scrapers and CI.", no_args_is_help=True)
app.add_typer(services, name="service-token")
out = Console(soft_wrap=True)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        out.print(f"gql-server {version('gql-server')}", highlight=False)
        raise typer.Exit


@app.callback()
def program(
    release: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the release, and do nothing else.")
    ] = False,
) -> None:
    """Take options that stand before a command; each is done with where it is read."""


Port = Annotated[int | None, typer.Option(help="Port to listen on (default: GQL_PORT, 8000).")]
Host = Annotated[str | None, typer.Option(help="Address to listen on (default: GQL_HOST, 127.0.0.1).")]
