"""Commands that print what the program is: its schema, its settings, its documents."""

import json
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gql_server.cli import opening
from gql_server.cli.program import app, out
from gql_server.errors import BadInput, Stop

SCHEMA_FILE = Path("schema.graphql")
RELEASED_FILE, ACCEPTED_FILE = Path("releases/schema.graphql"), Path("releases/accepted.toml")
"""The schema of the last release, and the changes since then that are meant."""


@app.command()
def schema(
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare with schema.graphql and the last release, and lint it; exit code 1 if bad."),
    ] = False,
    write: Annotated[bool, typer.Option("--write", help="Write schema.graphql.")] = False,
) -> None:
    """Print the schema definition."""
    from gql_server.graph.schema import sdl

    if write:
        SCHEMA_FILE.write_text(sdl(), encoding="utf-8")
    elif not check:
        sys.stdout.write(sdl())
    else:
        _check_schema(sdl())


def _check_schema(sdl: str) -> None:
    """Raises Stop with everything that is wrong."""
    from gql_server.graph.lint import lint

    complaints = lint(sdl)
    if not SCHEMA_FILE.exists() or SCHEMA_FILE.read_text(encoding="utf-8") != sdl:
        complaints.append("schema.graphql is not what the code says: run `gql-server schema --write`")
    complaints += _changes_since_release(sdl)
    if complaints:
        raise Stop("\n".join(complaints))
    out.print("schema.graphql is up to date, breaks no client of the last release unsaid, and lint has nothing to say")


def _changes_since_release(sdl: str) -> list[str]:
    """Complaints about changes that break clients of the last release, or may, and were not accepted."""
    from gql_server.graph.lint import changes, unaccepted

    if not RELEASED_FILE.exists():
        return []
    found = changes(RELEASED_FILE.read_text("utf-8"), sdl, datetime.now(UTC).date())
    try:
        return unaccepted(found, tomllib.loads(ACCEPTED_FILE.read_text("utf-8")) if ACCEPTED_FILE.exists() else {})
    except tomllib.TOMLDecodeError as error:
        return [f"{ACCEPTED_FILE} cannot be read: {error}"]


@app.command(name="settings")
def show_settings(
    changed: Annotated[bool, typer.Option("--changed", help="Only those that are not at their default.")] = False,
) -> None:
    """Print every setting: its name in the environment, its value (secrets are hidden), where that comes from, what it does."""
    for knob in opening.settings().knobs():
        if not changed or knob.source != "default":
            out.print(f"[bold]{knob.name}[/bold]={escape(knob.value)}  [dim]({knob.source})[/dim]", highlight=False)
            out.print(f"    {knob.description}", markup=False, highlight=False)


@app.command()
def documents(
    files: Annotated[list[Path] | None, typer.Argument(help="Files of one document each; none: those of GraphiQL.")] = None,
) -> None:
    """Print a manifest of trusted documents, by their SHA-256, for GQL_TRUSTED_DOCUMENTS. Each has one operation that fits the
    schema."""
    from gql_server.graph.schema import create_schema
    from gql_server.graph.views.document import check_document
    from gql_server.http.documents import manifest
    from gql_server.http.tabs import operation_texts

    try:
        texts = [path.read_text("utf-8").rstrip() for path in files] if files else operation_texts()
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(str(error)) from None
    schema = create_schema().executable
    for path, text in zip(files or (), texts, strict=False):
        try:
            check_document(schema, text, None)
        except BadInput as error:
            raise Stop(f"{path}: {error.message}") from None
    sys.stdout.write(json.dumps(manifest(texts), indent=2, ensure_ascii=False) + "\n")
