"""One cluster on disk: created once, launched, found again, stopped."""

import contextlib
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from gql_server.db.embedded.programs import (
    VERSION,
    EmbeddedError,
    give,
    is_root,
    last_words,
    make_reachable,
    owner_of,
    run,
    system_user,
)

PORT = 5432
PATIENCE = 60
FIRST_WITH_BUILTIN_LOCALE = 17
SOCKET_LOCK = f".s.PGSQL.{PORT}.lock"
SOCKET_PATH_MAX = 103
SOCKET_FOLDER = "gql-server-"
PLAIN_PATH = re.compile(r"[\w/.+-]+", re.ASCII)

SETTINGS = {
    "port": str(PORT),
    "shared_buffers": "128MB",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# Autovacuum would sit in a database that a test drops, which only a superuser may take it out of.
SETTINGS_FOR_TESTS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


@dataclass(frozen=True)
class Postmaster:
    """A running server, as it describes itself in postmaster.pid."""

    socket_dir: str
    port: str
    status: str


def create(cluster: Path, *, for_tests: bool, version: int = VERSION) -> None:
    """A new cluster with our role and database; complete when it gets its final name, so a killed attempt leaves nothing."""
    new = cluster.with_name("postgres.new")
    password_file = cluster.with_name("postgres.new.password")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    if is_root():
        give(new, system_user())
        make_reachable(new)
    superuser, role = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    write_secret(password_file, superuser, like=new)
    options = initdb_options(for_tests=for_tests, version=version)
    try:
        run(new, "initdb", f"--pgdata={new}", f"--pwfile={password_file}", *options, version=version)
    finally:
        password_file.unlink()
    create_role = f"CREATE ROLE gql_server LOGIN PASSWORD '{role}' {'CREATEDB' if for_tests else ''}\n"
    create_database = "CREATE DATABASE gql_server OWNER gql_server\n"
    single_user = ("--single", "-D", str(new), "-c", "exit_on_error=on", "postgres")
    run(new, "postgres", *single_user, script=create_role + create_database)
    write_secret(new / "pgpass", f"*:*:*:postgres:{superuser}\n*:*:gql_server:gql_server:{role}\n", like=new)
    new.rename(cluster)


def initdb_options(*, for_tests: bool, version: int) -> list[str]:
    """The same collation on every machine, passwords everywhere."""
    options = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"]
    builtin = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    locale = builtin if version >= FIRST_WITH_BUILTIN_LOCALE else ["--locale=C.UTF-8"]
    return [*options, *locale, *(["--no-sync"] if for_tests else [])]


def write_secret(path: Path, text: str, *, like: Path) -> None:
    """A file that only the owner of the cluster reads."""
    path.touch(mode=0o600)
    path.write_text(text)
    if is_root():
        give(path, owner_of(like))


def launch(cluster: Path, *, for_tests: bool) -> Postmaster:
    """Start the server; pg_ctl gives it a session of its own, so the terminal's Ctrl-C does not reach it."""
    log = cluster / "server.log"
    settings = SETTINGS | listening(cluster) | (SETTINGS_FOR_TESTS if for_tests else {})
    options = ("-D", str(cluster), "-l", str(log), "-o", command_line(settings), "-t", str(PATIENCE))
    written = log.stat().st_size if log.exists() else 0
    # Stale: PostgreSQL trusts them when their process id is in use again, or still by a zombie.
    for stale in (cluster / "postmaster.pid", Path(settings.get("unix_socket_directories", cluster)) / SOCKET_LOCK):
        stale.unlink(missing_ok=True)
    try:
        run(cluster, "pg_ctl", "start", "--silent", "--wait", *options)
    except EmbeddedError as error:
        raise EmbeddedError(f"PostgreSQL did not start: {complaint(log, written) or error} (see {log}).") from error
    server = settled(cluster)
    if server is None:
        raise EmbeddedError(f"PostgreSQL ended right after its start: {complaint(log, written)} (see {log}).")
    return server


def listening(cluster: Path) -> dict[str, str]:
    """A Unix socket that only the owner reaches, and no network; on Windows, which lacks it, a free port of the loopback."""
    if sys.platform == "win32":
        return {"listen_addresses": "127.0.0.1", "port": str(free_port())}
    return {
        "listen_addresses": "",
        "unix_socket_directories": str(socket_directory(cluster)),
        "unix_socket_permissions": "0700",
    }


def socket_directory(cluster: Path) -> Path:
    """The cluster's own directory, or a private temporary one if its path is too long or too unusual for a socket: that of the
    server that died, if it did, which its users know."""
    path = os.fspath(cluster / f".s.PGSQL.{PORT}")
    if len(path) <= SOCKET_PATH_MAX and PLAIN_PATH.fullmatch(path):
        return cluster
    with contextlib.suppress(OSError, IndexError):
        former = Path((cluster / "postmaster.pid").read_text().splitlines()[4])
        if former.name.startswith(SOCKET_FOLDER) and former.stat().st_uid == cluster.stat().st_uid:
            return former
    directory = Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER, dir=None if len(tempfile.gettempdir()) < 60 else "/tmp"))
    if is_root():
        give(directory, owner_of(cluster))
    return directory


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command_line(settings: Mapping[str, str]) -> str:
    """Settings as pg_ctl hands them on."""
    words = [f"--{name}={value}" for name, value in settings.items()]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def stop(cluster: Path) -> None:
    """Stop the server, if it runs: open transactions are rolled back, nothing committed is lost."""
    server = settled(cluster)
    if server is None:
        return
    options = ("-D", str(cluster), "--silent", "--wait", "-t", str(PATIENCE))
    try:
        run(cluster, "pg_ctl", "stop", "--mode=fast", *options)
    except EmbeddedError:
        run(cluster, "pg_ctl", "stop", "--mode=immediate", *options)
    if server.socket_dir and Path(server.socket_dir) != cluster:
        shutil.rmtree(server.socket_dir, ignore_errors=True)


def settled(cluster: Path) -> Postmaster | None:
    """The server of this cluster once it neither starts nor stops; None if there is none."""
    deadline = time.monotonic() + PATIENCE
    while (server := running(cluster)) is not None and server.status != "ready":
        if time.monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL in {cluster} has been {server.status or 'starting'} for {PATIENCE} seconds.")
        time.sleep(0.02)
    return server


def running(cluster: Path) -> Postmaster | None:
    """The live server of this cluster. The process id alone proves nothing: it may have been given to another program."""
    try:
        lines = [line.strip() for line in (cluster / "postmaster.pid").read_text().splitlines()]
        if str(cluster) not in psutil.Process(int(lines[0])).cmdline():
            return None
    except (FileNotFoundError, psutil.NoSuchProcess, ValueError, IndexError):
        return None
    lines += [""] * (8 - len(lines))
    return Postmaster(socket_dir=lines[4], port=lines[3], status=lines[7])


def connection_string(server: Postmaster, secret: str) -> str:
    """The connection string as libpq writes it."""
    if server.socket_dir:
        host = quote(server.socket_dir, safe="")
        return f"postgresql://gql_server:{secret}@/gql_server?host={host}&port={server.port}"
    return f"postgresql://gql_server:{secret}@127.0.0.1:{server.port}/gql_server"


def password(cluster: Path) -> str:
    """The application role's password, from the file in which libpq's tools would look for it."""
    for line in (cluster / "pgpass").read_text().splitlines():
        *_, user, secret = line.split(":")
        if user == "gql_server":
            return secret
    raise EmbeddedError(f"{cluster / 'pgpass'} has no password for gql_server.")


def complaint(log: Path, offset: int) -> str:
    """Server's log since the offset, in one line."""
    try:
        return last_words(log.read_bytes()[offset:].decode(errors="replace"))
    except FileNotFoundError:
        return ""
