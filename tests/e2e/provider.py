"""A real identity provider in a process of its own: oidc-provider, on Node."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.servers import answers, free_port

FOLDER = Path(__file__).parents[1] / "oidc"
NODE = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
CLIENT, SECRET = "ledger", "a secret of the client: 100% sure"


class Provider:
    """The provider, at `localhost`: another site than 127.0.0.1, to a browser."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process, self.issuer = process, f"http://localhost:{port}"

    def rotate(self) -> None:
        """Sign with a new key from now on."""
        before = self._kids()
        assert self._process.stdin
        self._process.stdin.write(b"rotate\n")
        self._process.stdin.flush()
        _wait_until(lambda: self._kids() != before)

    def _kids(self) -> list[str]:
        return [key["kid"] for key in httpx.get(f"{self.issuer}/jwks").json()["keys"]]


@contextmanager
def provided(origin: str, **lifetimes: int) -> Generator[Provider]:
    """A provider that knows a server at this origin."""
    assert NODE, "Node comes with the development tools"
    client = {
        "client_id": CLIENT,
        "client_secret": SECRET,
        "redirect_uris": [f"{origin}/sign-in/callback"],
        "post_logout_redirect_uris": [f"{origin}/"],
        "grant_types": ["authorization_code", "refresh_token"],
    }
    port, settings = free_port(), json.dumps({"clients": [client], "lifetimes": lifetimes})
    environment: dict[str, Any] = {**os.environ, "PORT": str(port), "SETTINGS": settings}
    process = subprocess.Popen([NODE, "provider.js"], cwd=FOLDER, env=environment, stdin=subprocess.PIPE)
    try:
        provider = Provider(process, port)
        _wait_until(lambda: answers(f"{provider.issuer}/.well-known/openid-configuration"))
        yield provider
    finally:
        process.communicate(timeout=30)  # it ends with its input


def _wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the provider did not get there"
        time.sleep(0.1)
