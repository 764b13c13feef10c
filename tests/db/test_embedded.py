"""The embedded PostgreSQL, with real starts."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil
import pytest

from gql_server.db import embedded

USER = """
import signal, sys
from pathlib import Path
from gql_server.db import embedded

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
with embedded.start(Path(sys.argv[1])) as dsn:
    print(dsn, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with TemporaryDirectory(prefix="gql-test-") as directory:
        yield Path(directory) / "data"


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """A data directory with a database that nobody uses."""
    with TemporaryDirectory(prefix="gql-test-") as directory:
        with embedded.start(Path(directory) / "data", for_tests=True):
            pass
        yield Path(directory) / "data"


@pytest.fixture
def stopped(made: Path, data_dir: Path) -> Path:
    """A data directory of its own with such a database."""
    subprocess.run(["cp", "-a", made, data_dir], check=True)
    return data_dir


@contextmanager
def user(data_dir: Path) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Another process that uses the database until its input ends, and the connection string it was given."""
    command = [sys.executable, "-W", "error", "-c", USER, str(data_dir)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


def finish(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=60) == 0


def postmaster(data_dir: Path) -> psutil.Process:
    return psutil.Process(int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0]))


def is_stopped(data_dir: Path) -> bool:
    return not (data_dir / "postgres" / "postmaster.pid").exists()


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_it_serves_utf8_on_a_private_socket_and_no_network(data_dir: Path):
    with embedded.start(data_dir) as dsn:
        socket_dir = Path(parse_qs(urlsplit(dsn).query)["host"][0])

        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
        assert stat.S_ISSOCK((socket_dir / ".s.PGSQL.5432").stat().st_mode)
        assert await value(dsn, "SHOW listen_addresses") == ""
        assert await value(dsn, "SHOW fsync") == "on"
        assert await value(dsn, "SHOW server_encoding") == "UTF8"
        assert await value(dsn, "SELECT lower('École')") == "école"
        assert [c for c in postmaster(data_dir).net_connections("inet") if c.status == psutil.CONN_LISTEN] == []

    assert is_stopped(data_dir)


async def test_the_application_is_no_superuser_and_creates_no_databases(data_dir: Path):
    powers = "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles"
    owner = "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = 'gql_server'"

    with embedded.start(data_dir) as dsn:
        assert await value(dsn, "SELECT current_user::text") == "gql_server"
        assert await value(dsn, f"{powers} WHERE rolname = current_user") is False
        assert await value(dsn, owner) == "gql_server"


async def test_the_oldest_version_that_is_supported_can_be_had_for_tests(data_dir: Path):
    with embedded.start(data_dir, for_tests=True, version=16) as dsn:
        assert str(await value(dsn, "SHOW server_version")).startswith("16.")
        assert await value(dsn, "SELECT upper('é') || (U&'\\E000' < U&'\\+010000')") == "Étrue"

    with (
        pytest.raises(embedded.EmbeddedError, match=r"was made by PostgreSQL 16; this release runs 18\. Take it"),
        embedded.start(data_dir, for_tests=True),
    ):
        pass


async def test_nobody_gets_in_without_the_password(data_dir: Path):
    with embedded.start(data_dir, for_tests=True) as dsn:
        password = urlsplit(dsn).password
        assert password is not None

        for wrong in (dsn.replace(password, "wrong"), dsn.replace(f"gql_server:{password}", "postgres:postgres")):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(wrong)

    assert stat.S_IMODE((data_dir / "postgres" / "pgpass").stat().st_mode) == 0o600
    assert stat.S_IMODE((data_dir / "postgres").stat().st_mode) == 0o700
    assert not (data_dir / "postgres.new.password").exists()


async def test_the_first_user_starts_it_and_the_last_one_stops_it(stopped: Path):
    with user(stopped) as (first, first_dsn), user(stopped) as (second, second_dsn):
        server = postmaster(stopped)

        finish(first)

        assert first_dsn == second_dsn
        assert postmaster(stopped) == server
        assert await value(second_dsn, "SELECT 1") == 1

        finish(second)

        assert is_stopped(stopped)


async def test_a_killed_user_leaves_a_server_that_the_next_one_reuses_and_stops(stopped: Path):
    with user(stopped) as (process, dsn):
        await value(dsn, "CREATE TABLE kept ()")
        server = postmaster(stopped)
        process.kill()

    with embedded.start(stopped, for_tests=True) as dsn:
        assert postmaster(stopped) == server
        assert await value(dsn, "SELECT count(*) FROM kept") == 0

    assert is_stopped(stopped)


async def test_a_killed_server_is_started_again_with_everything_committed(stopped: Path):
    with user(stopped) as (process, dsn):
        await value(dsn, "CREATE TABLE kept ()")
        server = postmaster(stopped)
        processes = [server, *server.children(recursive=True)]
        process.kill()
        server.kill()
        psutil.wait_procs(processes, timeout=30)

    with embedded.start(stopped, for_tests=True) as dsn:
        assert postmaster(stopped) != server
        assert await value(dsn, "SELECT count(*) FROM kept") == 0


async def test_a_process_id_that_now_belongs_to_another_program_does_not_prevent_the_start(stopped: Path):
    names = [stopped / "postgres" / name for name in ("postmaster.pid", ".s.PGSQL.5432.lock")]
    with embedded.start(stopped, for_tests=True):
        lines = [name.read_text().splitlines() for name in names]
    # PostgreSQL takes processes of other users, and those that start it, for no server.
    other = await asyncio.create_subprocess_exec("sleep", "60", user=(stopped / "postgres").stat().st_uid)
    for name, left in zip(names, lines, strict=True):
        name.write_text("\n".join([str(other.pid), *left[1:]]) + "\n")

    try:
        with embedded.start(stopped, for_tests=True) as dsn:
            assert await value(dsn, "SELECT 1") == 1
    finally:
        other.kill()
        await other.wait()


@pytest.mark.parametrize("folder", ["short", "of a name that is too long for the path of a socket " * 2], ids=["short", "long"])
async def test_a_server_that_died_comes_back_where_its_users_look_for_it(data_dir: Path, folder: str):
    with embedded.start(data_dir / folder, for_tests=True) as dsn:
        died = postmaster(data_dir / folder)
        died.kill()
        died.wait(timeout=60)

        assert embedded.revive(data_dir / folder)
        assert await value(dsn, "SELECT 1") == 1


async def test_an_interrupted_creation_is_started_over(data_dir: Path):
    (data_dir / "postgres.new" / "base").mkdir(parents=True)

    with embedded.start(data_dir, for_tests=True) as dsn:
        assert await value(dsn, "SELECT 1") == 1


def test_ctrl_c_at_the_terminal_does_not_reach_the_server(stopped: Path):
    with user(stopped) as (process, _):
        server = postmaster(stopped)

        assert os.getsid(server.pid) != os.getsid(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)

    assert is_stopped(stopped)


@pytest.mark.parametrize("name", ["a" * 120, "with space, comma and é"])
async def test_a_path_that_no_socket_can_have_gets_a_private_temporary_directory(data_dir: Path, name: str):
    with embedded.start(data_dir / name, for_tests=True) as dsn:
        socket_dir = Path(parse_qs(urlsplit(dsn).query)["host"][0])

        assert socket_dir != data_dir / name / "postgres"
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
        assert await value(dsn, "SELECT 1") == 1

    assert not socket_dir.exists()


def test_a_data_directory_that_is_a_file_is_one_clear_line(data_dir: Path):
    data_dir.write_text("")

    with pytest.raises(embedded.EmbeddedError) as error, embedded.start(data_dir):
        pass

    assert str(error.value) == f"The data directory {data_dir} is not writable: file exists."


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_data_directory_without_write_permission_is_one_clear_line(data_dir: Path):
    data_dir.mkdir(mode=0o500)

    with pytest.raises(embedded.EmbeddedError) as error, embedded.start(data_dir):
        pass

    assert str(error.value) == f"The data directory {data_dir} is not writable: permission denied."


def test_a_cluster_of_another_major_version_is_refused(data_dir: Path):
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "PG_VERSION").write_text("16\n")

    with (
        pytest.raises(embedded.EmbeddedError, match=r"was made by PostgreSQL 16; this release runs 18\. Take it"),
        embedded.start(data_dir),
    ):
        pass


def test_a_server_that_does_not_start_says_why(stopped: Path):
    (stopped / "postgres" / "pg_hba.conf").write_text("nonsense\n")

    with pytest.raises(embedded.EmbeddedError, match=r"^PostgreSQL did not start: .*pg_hba\.conf"), embedded.start(stopped):
        pass

    assert is_stopped(stopped)
