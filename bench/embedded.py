"""A page of somebody else, made of the client package: built in `frontend/client/build`, shown at the origin of a server."""

import json
import mimetypes
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
FRONTEND = ROOT / "frontend"
PACKAGE = "node_modules/@gql-server/client"
INDEX = """<!doctype html>
<html lang="en">
  <head><meta charset="utf-8" /><meta name="color-scheme" content="light dark" /><title>Another page</title></head>
  <body><div id="app"></div><script type="module" src="./main.js"></script></body>
</html>
"""
CONFIG = "import vue from '@vitejs/plugin-vue';\nexport default { base: './', plugins: [vue()], logLevel: 'error' };\n"


def built(name: str, sources: Mapping[str, str]) -> Path:
    """The folder of the built page. The package is the one that `npm pack` gives away: none of its sources are seen."""
    project = FRONTEND / "client" / "build" / name
    shutil.rmtree(project, ignore_errors=True)
    (project / PACKAGE).mkdir(parents=True)
    _run("tar", "-xzf", str(_packed()), "--strip-components=1", "-C", str(project / PACKAGE), cwd=project)
    for file, content in {
        "index.html": INDEX,
        "vite.config.js": CONFIG,
        "package.json": json.dumps({"type": "module"}),
        **sources,
    }.items():
        (project / file).write_text(content, "utf-8")
    _run(str(FRONTEND / "node_modules" / ".bin" / "vite"), "build", cwd=project)
    return project / "dist"


def answer(built: Path, url: str) -> tuple[bytes, str]:
    """Answer to a browser that asks for an address under `/embedded/`, and its type."""
    file = built / (urlsplit(url).path.partition("/embedded/")[2] or "index.html")
    return file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream"


@cache
def _packed() -> Path:
    """The package, built once in this process."""
    folder = FRONTEND / "client" / "build"
    folder.mkdir(exist_ok=True)
    _run("npm", "pack", "--silent", "--pack-destination", str(folder), cwd=FRONTEND / "client")
    [packed] = folder.glob("*.tgz")
    return packed


def _run(*command: str, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True, env={**os.environ, "NODE_ENV": "production"}, stdout=subprocess.DEVNULL)
