"""A PostgreSQL of the fault lane's own: durable, on a TCP port, and ours to stop, crash and start."""

import time
from pathlib import Path

from gql_server.db.embedded.cluster import PATIENCE, SETTINGS, command_line, create, free_port, password, running, settled
from gql_server.db.embedded.programs import make_reachable, run

ADMINISTRATION = "gql_server"


class Cluster:
    """Created once in `folder`. `stop("immediate")` is a crash: no goodbye to clients, recovery at the next start."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "postgres"
        self.port = free_port()
        create(self.path, for_tests=True)  # for its role, which may create databases; the settings below are the durable ones
        make_reachable(self.path)

    def dsn(self, database: str = ADMINISTRATION, port: int | None = None) -> str:
        """Connection string over TCP; `port` is a proxy's."""
        return f"postgresql://gql_server:{password(self.path)}@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start it, unless it runs."""
        if running(self.path) is None:
            (self.path / "postmaster.pid").unlink(missing_ok=True)
            own = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
            own["max_notify_queue_pages"] = "64"  # so few that a test can fill them
            options = ("-D", str(self.path), "-l", str(self.path / "server.log"), "-t", str(PATIENCE))
            run(self.path, "pg_ctl", "start", "--silent", "--wait", "-o", command_line(SETTINGS | own), *options)
        assert settled(self.path)

    def stop(self, mode: str = "fast") -> None:
        run(self.path, "pg_ctl", "stop", "-D", str(self.path), f"--mode={mode}", "--silent", "--wait")

    def restart(self, mode: str) -> float:
        """Seconds it was away."""
        began = time.monotonic()
        self.stop(mode)
        self.start()
        return time.monotonic() - began
