"""Processes that are started beside a database that is not there yet, or not for them."""

import asyncio
import getpass
import shutil
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gql_server.db.doctor import examine
from gql_server.db.embedded.cluster import free_port
from tests.faults.live import Api
from tests.faults.processes import Process
from tests.faults.site import Site

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
POOLER = """[databases]
* = host=127.0.0.1 port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
auth_type = any
pool_mode = {mode}
ignore_startup_parameters = {ignored}
"""


async def ended(process: Process, within: float = 30) -> int:
    return await asyncio.to_thread(process.popen.wait, within)


@pytest.mark.parametrize("command", [("worker", "--drain"), ("serve",)])
async def test_a_database_that_is_starting_is_waited_for(site: Site, command: tuple[str, ...]) -> None:
    await asyncio.to_thread(site.cluster.stop)
    port = ("--port", str(free_port())) if command == ("serve",) else ()
    process = site.start("early", *command, *port)
    await process.says("waiting for the database at 127.0.0.1", 60)

    await asyncio.to_thread(site.cluster.start)

    await process.says("serving on" if port else "is working", 60)
    process.send(signal.SIGTERM)
    assert await ended(process) == 0
    assert process.said.count("waiting for the database") == 1


async def test_a_database_that_does_not_come_is_waited_for_in_vain_but_not_for_ever(site: Site) -> None:
    await asyncio.to_thread(site.cluster.stop)
    process = site.start("early", "worker", GQL_DATABASE_WAIT="1")

    assert await ended(process, 60) == 1
    assert "cannot be reached" in process.said.splitlines()[-1]


async def test_what_waiting_does_not_mend_is_not_waited_for(site: Site) -> None:
    process = site.start("lost", "worker", GQL_DATABASE_URL=site.cluster.dsn("nowhere"))

    assert await ended(process, 60) == 1
    assert len(process.said.splitlines()) == 1
    assert 'database "nowhere" does not exist' in process.said


async def test_a_worker_without_privileges_ends_with_one_sentence(site: Site) -> None:
    await site.execute("REVOKE INSERT ON pods FROM CURRENT_USER")
    process = site.start("powerless", "worker")

    assert await ended(process, 60) == 1
    assert process.said.splitlines() == [
        f"gql-server: the database at 127.0.0.1:{site.cluster.port}/{site.database} cannot be used (writing): the role "
        "gql_server lacks INSERT on pods; GRANT them to gql_server, or use the role that migrates"
    ]


async def test_a_worker_that_loses_its_privileges_ends_with_one_sentence(site: Site) -> None:
    process = await site.worker("w1")
    await site.execute("REVOKE UPDATE ON data_ingestion_jobs FROM CURRENT_USER")

    assert await ended(process, 60) == 1
    last = process.said.splitlines()[-1]
    assert last == "gql-server: the worker may not do its work: permission denied for table data_ingestion_jobs"
    assert "worker.restarting" not in process.said


async def test_a_process_that_was_started_to_ignore_the_end_of_its_terminal_stays(site: Site) -> None:
    api = Api(site)
    await api.start(launcher=("nohup",))

    api.process.send(signal.SIGHUP)
    await asyncio.sleep(1)
    answer = await api.ask("{ viewer { id } }")
    api.process.send(signal.SIGTERM)

    assert answer == {"viewer": {"id": "operator"}}
    assert await ended(api.process) == 0


@asynccontextmanager
async def pooler(site: Site, folder: Path, mode: str, ignored: str) -> AsyncGenerator[int]:
    """The port of a PgBouncer."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    dsn, port, file = urlsplit(site.cluster.dsn(site.database)), free_port(), folder / "pgbouncer.ini"
    given = {"port": site.cluster.port, "user": dsn.username, "password": dsn.password, "own_port": port}
    file.write_text(POOLER.format(**given, mode=mode, ignored=ignored))
    user = ("-u", "nobody") if getpass.getuser() == "root" else ()
    process = await asyncio.create_subprocess_exec(PGBOUNCER, *user, str(file))
    try:
        async with asyncio.timeout(10):
            while await asyncio.to_thread(_refuses, port):
                assert process.returncode is None
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.kill()
        await process.wait()


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize(
    ("mode", "ignored", "bad"),
    [
        ("session", "", ["settings"]),
        ("session", "statement_timeout,lock_timeout,idle_in_transaction_session_timeout,work_mem", []),
        (
            "transaction",
            "statement_timeout,lock_timeout,idle_in_transaction_session_timeout,work_mem",
            ["statements", "listen"],
        ),
    ],
)
async def test_what_a_pooler_does_not_let_through_is_found_before_anything_works_on_it(
    site: Site, tmp_path: Path, mode: str, ignored: str, bad: list[str]
) -> None:
    async with pooler(site, tmp_path, mode, ignored) as port:
        found = [finding.check async for finding in examine(site.cluster.dsn(site.database, port)) if not finding.ok]
        process = site.start("pooled", "worker", "--drain", port=port)

        assert found == bad
        assert await ended(process, 60) == (1 if bad else 0)
        if bad:
            assert f"cannot be used ({bad[0]})" in process.said
            assert len(process.said.splitlines()) == 1
