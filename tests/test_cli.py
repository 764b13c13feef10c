"""The commands, as a person runs them: real processes, a real embedded database."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import httpx
import jwt
import pytest

from gql_server.cli import definitions, opening
from gql_server.errors import Stop
from gql_server.settings import Settings
from tests.command_line import COMMAND, ROOT, environment, run

SECRET = "q8Zt3vKp0sLr5nWy7uBd2xEh4jGc6mAf"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose database `migrate` has made."""
    folder = tmp_path_factory.mktemp("made")
    result = run(folder, "migrate")
    assert result.returncode == 0, result.stderr
    return folder / "data"


@pytest.fixture
def migrated(made: Path, tmp_path: Path) -> Path:
    """A folder with a data directory of its own, in which there is a migrated database."""
    subprocess.run(["cp", "-a", made, tmp_path / "data"], check=True)
    return tmp_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started(tmp_path: Path, *arguments: str, **given: str) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(tmp_path, **given),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()  # not killed: it would leave its PostgreSQL behind
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def wait_until_ready(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + 60
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"the server ended: {process.communicate()[0]}")
            try:
                if client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    raise AssertionError("the server did not get ready")


def wait_for_status(port: int, status: int) -> None:
    deadline = time.monotonic() + 120
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        while client.get("/readyz").status_code != status:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_help_names_every_command(tmp_path: Path) -> None:
    result = subprocess.run(
        [*COMMAND, "--help"], env=environment(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert result.returncode == 0
    for command in ("demo", "serve", "worker", "migrate", "year", "token", "service-token", "schema", "settings", "doctor"):
        assert f" {command} " in result.stdout


def test_the_release_is_all_that_is_printed_by_who_asks_for_it(tmp_path: Path) -> None:
    result = run(tmp_path, "--version", GQL_DATABASE_URL="mysql://unread")

    assert (result.returncode, result.stdout, result.stderr) == (0, f"gql-server {version('gql-server')}\n", "")


def test_a_token_is_all_that_is_printed(tmp_path: Path) -> None:
    result = run(tmp_path, "token", "--role", "principal", "--unit", "10208", GQL_JWT_SECRET=SECRET)

    assert (result.returncode, result.stderr) == (0, "")
    claims = jwt.decode(result.stdout.strip(), options={"verify_signature": False})
    assert (claims["provider"], claims["roles"]) == ("ACCRED", [{"role": "calco2.user.principal", "unit": "10208"}])


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (["token", "--role", "principal"], {"GQL_JWT_SECRET": SECRET}, "gql-server: A principal needs a unit."),
        (["token"], {"GQL_DATABASE_URL": "mysql://x"}, "gql-server: GQL_DATABASE_URL: must begin with postgresql://"),
        (
            ["serve"],
            {"GQL_DATABASE_URL": "postgresql://nobody:hidden@127.0.0.1:1/x", "GQL_DATABASE_WAIT": "0"},
            "gql-server: the database at 127.0.0.1:1/x cannot be reached",
        ),
        (["token"], {"GQL_DATABSE_WAIT": "5"}, "gql-server: GQL_DATABSE_WAIT is not a setting: is GQL_DATABASE_WAIT meant?"),
        (
            ["token"],
            {"GQL_LOG_LEVEL": "LOUD"},
            "gql-server: GQL_LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING'",
        ),
        (["service-token", "create", "ci"], {}, "gql-server: say what it may do, with --scope; there are: pipelines:read, "),
        (
            ["service-token", "create", "ci", "--scope", "all"],
            {},
            "gql-server: all is not a scope; there are: pipelines:read, ",
        ),
        (
            ["service-token", "create", "ci", "--scope", "data:upload", "--role", "principal"],
            {},
            "gql-server: a principal, and nobody else, has a unit: --role principal --unit 10208",
        ),
        (["token"], {}, "gql-server: no server has made a signing key in "),
        (
            ["serve", "--host", "0.0.0.0"],
            {"GQL_JWT_SECRET": "for-development-only-change-it-elsewhere"},
            "gql-server: GQL_JWT_SECRET is one that others know, and 0.0.0.0 is not this machine alone",
        ),
        (["token"], {"GQL_ZZZZ": "5"}, "gql-server: GQL_ZZZZ is not a setting\n"),
        (["token"], {"GQL_DATABASE_WAIT": "-1"}, "gql-server: GQL_DATABASE_WAIT: Input should be greater than or equal to"),
        (["token"], {"GQL_STATEMENT_TIMEOUT": "0"}, "gql-server: GQL_STATEMENT_TIMEOUT: Input should be greater than"),
        (["token"], {"GQL_UPLOAD_RETENTION": "a month"}, ": seconds, or ISO 8601 such as P30D or PT10S\n"),
        (
            ["doctor"],
            {"GQL_DATABASE_URL": "postgresql://nobody:hidden@127.0.0.1:1/x"},
            "bad  database   127.0.0.1:1/x cannot be reached",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, arguments: list[str], given: dict[str, str], message: str) -> None:
    result = run(tmp_path, *arguments, **{"GQL_PORT": str(free_port()), **given})

    output = result.stdout + result.stderr
    assert result.returncode == 1
    assert message in output
    assert "Traceback" not in output
    assert "hidden" not in output


def test_a_taken_port_is_said_before_anything_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        result = run(tmp_path, "demo", "--port", str(port))

    assert result.returncode == 1
    assert result.stderr.startswith(f"gql-server: cannot listen on 127.0.0.1:{port}, address already in use")
    assert not (tmp_path / "data" / "postgres").exists()


def test_a_data_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    result = run(tmp_path, "migrate")

    assert result.returncode == 1
    assert "is not writable" in result.stderr
    assert result.stderr.count("\n") == 1


def test_doctor_makes_no_database_where_none_is_and_names_the_directory(tmp_path: Path) -> None:
    result = run(tmp_path, "doctor")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"gql-server: there is no embedded database in {tmp_path / 'data'}: ")
    assert not (tmp_path / "data").exists()


def test_no_token_is_minted_with_a_key_that_no_server_has(tmp_path: Path) -> None:
    assert run(tmp_path, "token").returncode == 1
    assert not (tmp_path / "data").exists()


def test_settings_prints_what_is_set_and_where_and_no_secret(tmp_path: Path) -> None:
    result = run(tmp_path, "settings", "--changed", GQL_JWT_SECRET=SECRET, GQL_PORT="8123")

    assert result.returncode == 0
    names = [line.split("  ")[0] for line in result.stdout.splitlines() if line.startswith("GQL_")]
    assert names == [f"GQL_DATA_DIR={tmp_path / 'data'}", "GQL_PORT=8123", "GQL_JWT_SECRET=**********"]
    assert run(tmp_path, "settings").stdout.count("(default)") > 20


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GQL_OIDC_ROLES", "{", "GQL_OIDC_ROLES: must be JSON: "),
        ("GQL_OIDC_ROLES", '{"roles": 1}', "GQL_OIDC_ROLES: roles: Input should be a valid dictionary"),
        ("GQL_OIDC_PARAMETERS", "x", "GQL_OIDC_PARAMETERS: must be JSON: "),
        ("GQL_JWT_SECRET", "short", "GQL_JWT_SECRET: must have at least 32 characters"),
    ],
)
def test_a_setting_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, value: str, said: str) -> None:
    result = run(tmp_path, "settings", **{name: value})

    [line] = result.stderr.splitlines()
    assert result.returncode == 1
    assert line.startswith(f"gql-server: {said}")


def test_doctor_finds_everything_in_order_in_what_migrate_made(migrated: Path) -> None:
    after = run(migrated, "doctor")

    assert after.returncode == 0, after.stdout
    assert after.stdout.splitlines()[0] == f"ok   embedded   in {migrated / 'data'}"
    assert [line.split()[0] for line in after.stdout.splitlines()] == ["ok"] * 9
    checks = " ".join(line.split()[1] for line in after.stdout.splitlines())
    assert checks == "embedded database version settings statements migration writing clock listen"


def test_the_schema_on_disk_is_the_schema_of_the_code(tmp_path: Path) -> None:
    assert run(tmp_path, "schema", "--check").returncode == 0
    assert run(tmp_path, "schema").stdout == (ROOT / "schema.graphql").read_text(encoding="utf-8")


def test_a_check_of_the_schema_names_what_breaks_clients_of_the_last_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = (ROOT / "schema.graphql").read_text("utf-8")
    (tmp_path / "releases").mkdir()
    (tmp_path / "schema.graphql").write_text(definition, "utf-8")
    more = definition.replace("type Query {", 'type Query {\n  """Gone."""\n  gone: Int\n', 1)
    (tmp_path / "releases/schema.graphql").write_text(more, "utf-8")
    monkeypatch.chdir(tmp_path)
    change = "breaking: Field Query.gone was removed."

    with pytest.raises(Stop, match=f"^{re.escape(change)} It may be accepted, with a reason, in releases/accepted.toml.$"):
        definitions.schema(check=True)
    (tmp_path / "releases/accepted.toml").write_text(f'"{change}" = "it was never there"\n', "utf-8")
    definitions.schema(check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_serve_answers_until_a_signal_ends_it_cleanly(migrated: Path, number: signal.Signals) -> None:
    port = free_port()
    with started(migrated, "serve", "--port", str(port)) as server:
        wait_until_ready(server, port)
        assert httpx.get(f"http://127.0.0.1:{port}/livez").text == "ok\n"
        anonymous = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": "{ viewer { id } }"})
        assert (anonymous.status_code, anonymous.json()["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")

        server.send_signal(number)

        output, _ = server.communicate(timeout=20)
        assert server.returncode == 0, output
        assert "Traceback" not in output
    assert not (migrated / "data" / "postgres" / "postmaster.pid").exists()


def test_an_embedded_database_that_dies_is_started_again_and_service_resumes(tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path, "serve", "--port", str(port)) as server:
        wait_until_ready(server, port)
        postmaster = int((tmp_path / "data/postgres/postmaster.pid").read_text().splitlines()[0])

        os.kill(postmaster, signal.SIGKILL)

        wait_for_status(port, 503)
        wait_for_status(port, 200)
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=20)
    assert "the embedded PostgreSQL had stopped; it was started again" in output


def test_of_two_demos_that_start_at_once_one_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GQL_METRICS_PORT", raising=False)
    port = free_port()

    with opening.watched(Settings(), port) as first, opening.watched(Settings(), port) as second:
        assert (first is None, second) == (False, None)


def test_a_year_is_created_once(migrated: Path) -> None:
    first, second = run(migrated, "year", "2026"), run(migrated, "year", "2026")

    assert first.stdout.startswith("year 2026 of ACCRED is created; its unit sync is pipeline ")
    assert (second.returncode, second.stderr) == (1, "gql-server: year 2026 exists already\n")


def test_service_tokens_are_made_listed_and_revoked(migrated: Path) -> None:
    create = ("service-token", "create", "scraper", "--scope", "pipelines:read", "--scope", "schema:read", "--days", "7")
    made = run(migrated, *create)
    listed = run(migrated, "service-token", "list")
    revoked, again = run(migrated, "service-token", "revoke", "1"), run(migrated, "service-token", "revoke", "1")

    assert re.fullmatch(r"gqls_[\w-]{43}\n", made.stdout)
    assert (made.returncode, made.stderr) == (0, "")
    until = (datetime.now(UTC) + timedelta(days=7)).strftime("%Y-%m-%d")
    assert listed.stdout == f"   1  scraper  ACCRED  pipelines:read schema:read  until {until}  never used\n"
    assert revoked.stdout == "token 1 of scraper is revoked\n"
    assert again.stderr.startswith("gql-server: there is no service token 1 that was not revoked")
    assert "  revoked  never used" in run(migrated, "service-token", "list").stdout


@pytest.mark.slow
def test_two_workers_beside_serve_share_an_uploaded_file(tmp_path: Path) -> None:
    """The demo's day, then more uploads through `serve` while two workers run in processes of their own."""
    port = free_port()
    with started(tmp_path, "demo", "--port", str(port)) as demo:
        wait_until_ready(demo, port)
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.strip() == "ready":
                break
        demo.send_signal(signal.SIGTERM)
        demo.wait(timeout=30)
    token = run(tmp_path, "token", "--role", "operator").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client,
        started(tmp_path, "serve", "--port", str(port)) as server,
        started(tmp_path, "worker", GQL_WORKER_ID="left"),
        started(tmp_path, "worker", GQL_WORKER_ID="right"),
    ):
        wait_until_ready(server, port)
        content = (ROOT / "examples/data/purchases_2025.csv").read_bytes()
        uploads = [
            client.post("/uploads", params={"module": "purchase", "year": "2025"}, content=content),
            client.post(
                "/uploads",
                params={"module": "equipment_electric_consumption", "year": "2025"},
                content=(ROOT / "examples/data/equipment_2025.csv").read_bytes(),
            ),
        ]
        statuses = [terminal_status(client, upload.json()["pipelineId"]) for upload in uploads]

    assert statuses == ["SUCCESS", "SUCCESS"]


def terminal_status(client: httpx.Client, pipeline_id: str) -> str:
    query = "query ($id: UUID!) { pipeline(by: {pipelineId: $id}) { status isTerminal } }"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        response = client.post("/graphql", json={"query": query, "variables": {"id": pipeline_id}})
        pipeline = response.json()["data"]["pipeline"]
        if pipeline["isTerminal"]:
            return pipeline["status"]
        time.sleep(0.2)
    raise AssertionError("the pipeline did not end")
