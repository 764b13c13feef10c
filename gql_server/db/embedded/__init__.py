"""The embedded PostgreSQL: created, locked down, shared by our processes, stopped by the last of them."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from fasteners import InterProcessLock, InterProcessReaderWriterLock  # pyright: ignore[reportMissingTypeStubs]

from gql_server.db.embedded.cluster import PATIENCE, connection_string, create, launch, password, running, settled, stop
from gql_server.db.embedded.programs import VERSION, EmbeddedError, binaries, make_reachable, version_of

__all__ = ["VERSION", "EmbeddedError", "exists", "revive", "start", "version_of"]

GATE, USERS = "postgres.gate", "postgres.users"


@contextmanager
def start(data_dir: Path, *, for_tests: bool = False, version: int = VERSION) -> Generator[str]:
    """The connection string of the application's role, while in use: the first process starts PostgreSQL, the last stops it.

    Enter once per process and data directory: the operating system keeps these locks by process. `for_tests` trades
    durability for speed and lets the role create databases. Raises EmbeddedError.
    """
    binaries(version)
    data_dir = prepared(data_dir)
    cluster = data_dir / "postgres"
    gate = InterProcessLock(data_dir / GATE)
    users = InterProcessReaderWriterLock(data_dir / USERS)
    users.acquire_read_lock()
    try:
        with passing(gate):
            dsn = bring_up(cluster, for_tests=for_tests, version=version)
        yield dsn
    finally:
        with undisturbed(), passing(gate):
            leave(users, cluster)


def exists(data_dir: Path) -> bool:
    """True if the data directory holds a database; nothing is made of it."""
    return (data_dir.expanduser() / "postgres" / "PG_VERSION").exists()


def revive(data_dir: Path) -> bool:
    """Start the server again if it died under its users, of whom we are one. True when it had died. Raises EmbeddedError."""
    data_dir = data_dir.expanduser().resolve()
    cluster = data_dir / "postgres"
    if running(cluster) is not None:
        return False
    with passing(InterProcessLock(data_dir / GATE)):
        if settled(cluster) is not None:
            return False
        launch(cluster, for_tests=False)
    return True


def prepared(data_dir: Path) -> Path:
    """The data directory as an absolute path, made if missing and known to be writable."""
    try:
        data_dir = data_dir.expanduser().resolve()
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (GATE, USERS):
            (data_dir / name).touch(mode=0o600)
    except OSError as error:
        raise EmbeddedError(f"The data directory {data_dir} is not writable: {reason(error)}.") from error
    return data_dir


@contextmanager
def passing(gate: InterProcessLock) -> Generator[None]:
    """Only one process at a time starts or stops the server; a process that dies here frees the gate."""
    if not gate.acquire(timeout=2 * PATIENCE):
        raise EmbeddedError(f"Another process has been starting or stopping PostgreSQL for {2 * PATIENCE} seconds.")
    try:
        yield
    finally:
        gate.release()


@contextmanager
def undisturbed() -> Generator[None]:
    """A second Ctrl-C, or the SIGTERM after it, does not interrupt the stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def leave(users: InterProcessReaderWriterLock, cluster: Path) -> None:
    """Stop being a user; the last one stops the server."""
    users.release_read_lock()
    if users.acquire_write_lock(blocking=False):
        try:
            stop(cluster)
        finally:
            users.release_write_lock()


def bring_up(cluster: Path, *, for_tests: bool, version: int) -> str:
    """The connection string of a running server, created and started as needed."""
    try:
        if not (cluster / "PG_VERSION").exists():
            create(cluster, for_tests=for_tests, version=version)
        if (made_by := version_of(cluster)) != version:
            raise EmbeddedError(
                f"The database in {cluster} was made by PostgreSQL {made_by}; this release runs {version}. Take it over: "
                f"`gql-server dump ledger.dump`, move {cluster} away, `gql-server load ledger.dump`."
            )
        make_reachable(cluster)
        server = settled(cluster) or launch(cluster, for_tests=for_tests)
        return connection_string(server, password(cluster))
    except OSError as error:
        raise EmbeddedError(f"The database in {cluster} cannot be used: {reason(error)}.") from error


def reason(error: OSError) -> str:
    """Message of the operating system, without our path in it."""
    return (error.strerror or str(error)).lower()
