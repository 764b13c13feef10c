"""The real nginx before the API, with the configuration that docs/console.md shows."""

import asyncio
import getpass
import os
import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from gql_server.app import create_app
from gql_server.db.embedded.cluster import free_port
from gql_server.http.authentication import TokenAuthority
from gql_server.http.graphiql import PageConfig
from gql_server.settings import Settings
from tests.following import PROTOCOL, Followed, on_stream
from tests.provider import listening

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
DOCUMENTED = re.search(r"```nginx\n(.*?)```", (Path(__file__).parents[2] / "docs" / "console.md").read_text("utf-8"), re.DOTALL)
FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
PUBLIC = "https://ledger.example.org"
pytestmark = pytest.mark.skipif(NGINX is None, reason="it is Debian's package nginx-light")


class Nginx:
    """An nginx in that folder, before the server at this address."""

    def __init__(self, folder: Path, url: str, *, passes_host: bool = True) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        assert DOCUMENTED
        location = DOCUMENTED[1].replace("http://gql-server:8000", url)
        if not passes_host:
            location = location.replace("    proxy_set_header Host $host;\n", "")
        paths = "".join(f"  {name}_temp_path {folder}/{name};\n" for name in FOLDERS)
        server = f"  server {{ listen 127.0.0.1:{self._port};\n{location}  }}\n"
        log, pid = f"{folder}/log", f"{folder}/pid"
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""  # else workers could not write in the folder
        (folder / "nginx.conf").write_text(
            f"{user} daemon off; error_log {log}; pid {pid};\nevents {{}}\nhttp {{\n  access_log off;\n{paths}{server}}}\n"
        )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[str]:
        """Its address, once it answers."""
        assert NGINX
        options = ("-e", f"{self._folder}/log", "-c", f"{self._folder}/nginx.conf")
        process = await asyncio.create_subprocess_exec(NGINX, *options)
        try:
            async with asyncio.timeout(30), httpx.AsyncClient() as client:
                while not await self._answers(client):
                    assert process.returncode is None, (self._folder / "log").read_text()
                    await asyncio.sleep(0.05)
            yield self.url
        finally:
            process.terminate()
            await process.wait()

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        try:
            await client.get(self.url)
        except httpx.TransportError:
            return False
        return True


class Site:
    """The API below `/gql`, behind nginx."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = f"{url}/gql"
        self.token = {"Authorization": f"Bearer {TokenAuthority.of(settings).mint('operator', provider='ACCRED')}"}

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {**self.token, "Host": "ledger.example.org", **request.pop("headers", {})}
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            return await client.request(method, f"{self.url}{path}", **request)

    async def acknowledged(self, origin: str) -> str | int:
        """The first message of a socket that a page of this origin opens, or the status of its refusal."""
        address = f"{self.url.replace('http', 'ws')}/graphql"
        try:
            async with connect(
                address, subprotocols=[PROTOCOL], origin=Origin(origin), additional_headers=self.token
            ) as connection:
                await connection.send('{"type": "connection_init"}')
                return str(await connection.recv())
        except InvalidStatus as refused:
            return refused.response.status_code


@asynccontextmanager
async def proxied(dsn: str, folder: Path, *, passes_host: bool = True, **settings: Any) -> AsyncGenerator[Site]:
    given = Settings(jwt_secret=SecretStr("a secret that is long enough for HS256"), base_path="/gql", **settings)
    app = create_app(given, dsn, PageConfig())
    async with (
        app.router.lifespan_context(app),
        listening(app) as url,
        Nginx(folder, url, passes_host=passes_host).running() as address,
    ):
        yield Site(address, given)


async def test_pages_requests_uploads_and_streams_pass_below_the_base_path(dsn: str, engine: AsyncEngine, tmp_path: Path):
    followed = await Followed.started(engine)
    async with proxied(dsn, tmp_path, public_origin=PUBLIC) as site:
        asked = await site.send("POST", "/graphql", json={"query": "{ viewer { id } }"})
        schema = await site.send("GET", "/schema.graphql")
        upload = await site.send("POST", "/uploads?start=false", content=b"a" * 2_000_000)

        assert asked.json() == {"data": {"viewer": {"id": "operator"}}}
        assert (schema.status_code, "type Query" in schema.text, upload.status_code) == (200, True, 201)
        async with on_stream(site.url, followed, **site.token) as stream:
            await followed.end()
            assert (await stream.end())[0] == ["SUCCESS"]


@pytest.mark.parametrize("passes_host", [True, False])
async def test_a_page_of_the_public_origin_opens_sockets_whatever_host_is_passed_on(
    dsn: str, engine: AsyncEngine, tmp_path: Path, passes_host: bool
):
    async with proxied(dsn, tmp_path, passes_host=passes_host, public_origin=PUBLIC) as site:
        assert await site.acknowledged(PUBLIC) == '{"type":"connection_ack"}'
        assert await site.acknowledged("https://evil.example.org") == 403


async def test_without_a_public_origin_a_page_is_known_by_the_host_that_is_passed_on(
    dsn: str, engine: AsyncEngine, tmp_path: Path
):
    async with proxied(dsn, tmp_path, passes_host=False) as site:
        assert await site.acknowledged(PUBLIC) == 403
