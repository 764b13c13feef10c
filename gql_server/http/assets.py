"""The built files of a page, as they are sent."""

import os
from pathlib import Path

from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

from gql_server.http.envelope import Compressed
from gql_server.http.head import head_of
from gql_server.http.media import takes

ASSET_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable"}
COMPRESSED = {"br": ".br", "gzip": ".gz"}
"""Ways in which the build has compressed a file beside it, the best first, and how such a file ends."""


def assets_of(directory: Path, path: str) -> Mount:
    """The assets of the page that is built in `directory`, below the path, compressed."""
    assets = Assets(directory=directory / "assets", check_dir=False)
    return Mount(f"{path}/assets", assets, middleware=[Middleware(Compressed, level=6)])


class Assets(StaticFiles):
    """Files named by their content, hence cached for ever; sent as the build compressed them to who takes that."""

    def file_response(self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200) -> Response:
        accepted = head_of(scope).get(b"accept-encoding", b"")
        path, coding = compressed(full_path, accepted)
        response = super().file_response(path, os.stat(path) if coding else stat_result, scope, status_code)
        response.headers.update(ASSET_HEADERS)
        if coding:
            response.headers["Content-Encoding"] = coding
        if coding or not takes(accepted, "gzip"):  # else who compresses it says so
            response.headers["Vary"] = "Accept-Encoding"
        return response

    async def check_config(self) -> None:
        """A page that is not built yet makes its assets 404, where Starlette would crash."""


def compressed(path: PathLike, accepted: bytes) -> tuple[PathLike, str | None]:
    """The file as the build compressed it in the best way that is accepted, and that way; the file itself where it did not."""
    for coding, suffix in COMPRESSED.items():
        if takes(accepted, coding) and os.path.isfile(written := f"{os.fspath(path)}{suffix}"):
            return written, coding
    return path, None
