"""The demo's tokens, which must outlive none of their readers."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
import uvicorn
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import Route

from gql_server.http.authentication import TokenAuthority
from gql_server.http.uploads import Uploads
from gql_server.processes import demonstration
from gql_server.processes.demonstration import demo_headers, demo_page
from gql_server.processes.operating_day import DAY, Demo, UploadRefused
from gql_server.settings import Settings
from gql_server.worker import registry

AUTHORITY = TokenAuthority("k" * 32, "issuer", "audience")
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
async def origin(engine: AsyncEngine) -> AsyncIterator[str]:
    """Address of a server that takes uploads."""
    uploads = Uploads(engine, registry, AUTHORITY.authenticate, max_bytes=2**20)
    app = Starlette(routes=[Route("/uploads", uploads.post, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


async def test_every_upload_brings_a_token_of_its_own(engine: AsyncEngine, origin: str) -> None:
    expired = AUTHORITY.mint("operator", provider="ACCRED", lifetime=timedelta(seconds=-1))
    fresh = AUTHORITY.mint("operator", provider="ACCRED")
    tokens = iter([expired, fresh])
    viewer = AUTHORITY.authenticate(f"Bearer {fresh}")
    demo = Demo(
        engine,
        registry,
        viewer,
        lambda: {"Authorization": f"Bearer {next(tokens)}"},
        origin=origin,
        examples=EXAMPLES,
        console=Console(),
    )

    with pytest.raises(UploadRefused, match="UNAUTHENTICATED"):
        await demo._upload(DAY[0])
    with pytest.raises(UploadRefused, match="YEAR_NOT_CREATED"):
        await demo._upload(DAY[0])
    await demo.close()


async def test_a_page_that_is_served_later_carries_tokens_that_expire_later() -> None:
    page = demo_page(AUTHORITY)

    first = second = page.as_script()
    async with asyncio.timeout(60):
        while second == first:
            await asyncio.sleep(0.05)
            second = page.as_script()

    told = [json.loads(script.removeprefix("window.__GQL__ = ")) for script in (first, second)]
    people = [
        [
            AUTHORITY.authenticate(asked["Authorization"])
            for asked in (page["headers"], *(v["headers"] for v in page["viewers"]))
        ]
        for page in told
    ]
    assert [person.subject for person in people[0]] == ["operator", "operator", "superadmin", "principal-10208", "standard"]
    for earlier, later in zip(*people, strict=True):
        assert earlier.expires_at
        assert later.expires_at
        assert timedelta(seconds=1) <= later.expires_at - earlier.expires_at <= timedelta(seconds=3)


def test_a_token_of_the_demo_is_of_the_provider_of_its_data() -> None:
    viewer = AUTHORITY.authenticate(demo_headers(AUTHORITY, "standard")()["Authorization"])

    assert (viewer.subject, viewer.provider, viewer.permissions) == ("standard", "ACCRED", {"views:edit"})


def explained(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> str:
    told = StringIO()
    monkeypatch.setattr(demonstration, "out", Console(file=told, width=400))
    demonstration._explain(settings, "http://127.0.0.1:8000", None, "a.b.c")
    return told.getvalue()


def test_the_demo_says_where_it_is_how_it_stops_and_how_it_is_reset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    here = explained(monkeypatch, Settings())
    elsewhere = explained(monkeypatch, Settings(data_dir=tmp_path / "my data"))
    external = explained(monkeypatch, Settings(database_url=SecretStr("postgresql://me:pw@db:5432/x")))

    words = [" ".join(line.split()) for line in here.splitlines()]
    for line in (
        "GraphiQL http://127.0.0.1:8000/graphiql (signed in as operator)",
        "Live list http://127.0.0.1:8000/live/ (asks for the token below)",
        "GraphQL http://127.0.0.1:8000/graphql",
        "Database the embedded PostgreSQL, in .data",
        "Stop Ctrl-C (or SIGTERM); the data stays",
        "Reset make reset",
        "Token (operator, 8 hours; another: gql-server token --role superadmin)",
        "a.b.c",
        "ready",
    ):
        assert line in words
    assert f"GQL_DATA_DIR='{tmp_path}/my data' make reset" in elsewhere
    assert f"another: GQL_DATA_DIR='{tmp_path}/my data' gql-server token --role superadmin" in elsewhere
    assert "Reset" not in external
    assert "pw" not in external


def test_make_reset_removes_the_data_of_the_demo_alone_and_not_under_a_running_server(tmp_path: Path) -> None:
    data = tmp_path / "my data"
    (data / "postgres").mkdir(parents=True)
    for name in ("jwt_secret", "mine.txt", "postgres/PG_VERSION"):
        (data / name).write_text("x")
    (data / "postgres/postmaster.pid").write_text(f"{os.getpid()}\n")
    reset = ["make", "-s", "-C", str(EXAMPLES.parent), "reset"]
    given = {**os.environ, "GQL_DATA_DIR": str(data)}

    refused = subprocess.run(reset, env=given, capture_output=True, text=True, check=False)
    assert (refused.returncode, (data / "jwt_secret").exists()) == (2, True)
    assert "gql-server is still running: stop it first" in refused.stderr
    (data / "postgres/postmaster.pid").unlink()
    subprocess.run(reset, env=given, check=True)

    assert [path.name for path in data.iterdir()] == ["mine.txt"]
