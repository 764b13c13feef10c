"""Our servers in processes of their own, each on a database of its own of the session's PostgreSQL."""

import asyncio
import json
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from gql_server.http.authentication import TokenAuthority
from gql_server.processes.operating_day import DAY
from tests.databases import clone_of, execute, on_database
from tests.faults.processes import Process, fork

START_SECONDS = 300
ENDED = "{ pipelines(first: 50, filter: { isActive: false }) { nodes { id } } }"
SECRET = "a secret that is long enough for HS256"
AUTHORITY = TokenAuthority(SECRET, "gql-server", "gql-server")

T = TypeVar("T")


def aside(work: Coroutine[Any, Any, T]) -> T:
    """The result of asynchronous work, done in another thread: in this one Playwright's own loop runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@dataclass(frozen=True)
class Ledgers:
    """Databases for servers: clones of the migrated one and of others."""

    server: str
    migrated: str

    @contextmanager
    def cloned(self, template: str | None = None) -> Generator[str]:
        """Connection string of a new database with what is in that one, which nobody uses; an empty ledger without one."""
        name = f"served_{uuid4().hex}"
        aside(execute(self.server, clone_of(template or self.migrated, name)))
        try:
            yield on_database(self.server, name)
        finally:
            aside(execute(self.server, f'DROP DATABASE "{name}" WITH (FORCE)'))

    @contextmanager
    def serving(self, port: int | None = None, **settings: str) -> Generator[str]:
        """Origin of `gql-server serve` with these settings, on an empty ledger unless they say another."""
        port = port or free_port()
        origin = f"http://127.0.0.1:{port}"
        with self.cloned() as dsn, started("serve", port, {"GQL_DATABASE_URL": dsn, **settings}) as process:
            wait_until(process, lambda: answers(f"{origin}/readyz"))
            yield origin


@contextmanager
def running_demo(port: int, **settings: str) -> Generator[str]:
    """Origin of `gql-server demo` on that port, its day played to the end."""
    origin = f"http://127.0.0.1:{port}"
    with started("demo", port, settings) as process:
        wait_until(process, lambda: has_played(origin))
        yield origin


@contextmanager
def started(command: str, port: int, settings: dict[str, str]) -> Generator[Process]:
    """A server that listens at that port. In the end it is told to end, and what it said is shown if the test fails."""
    with tempfile.TemporaryDirectory(prefix="gql-served-") as folder:
        environment = {"GQL_DATA_DIR": f"{folder}/data", "GQL_JWT_SECRET": SECRET, **settings}
        process = fork(command, (command, "--port", str(port)), environment, Path(folder, "log"))
        try:
            yield process
        finally:
            process.send(signal.SIGTERM)
            process.popen.wait(timeout=30)
            sys.stdout.write(process.said)


def wait_until(process: Process, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert process.popen.poll() is None, f"it has ended:\n{process.said}"
        assert time.monotonic() < deadline, f"it did not get there:\n{process.said}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def has_played(origin: str) -> bool:
    """True if each file of the day, and the year before them, has a pipeline that ended."""
    if not answers(f"{origin}/graphiql"):
        return False
    answer = httpx.post(f"{origin}/graphql", json={"query": ENDED}, headers=operator_of(origin))
    return len(answer.json()["data"]["pipelines"]["nodes"]) > len(DAY)


def operator_of(origin: str) -> dict[str, str]:
    """Headers of the operator whom the demo's GraphiQL page acts as."""
    page = httpx.get(f"{origin}/graphiql").raise_for_status().text
    return json.loads(re.findall(r"window.__GQL__ = (.*)</script>", page)[0])["viewers"][0]["headers"]
