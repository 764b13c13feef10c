"""The build that runs, what the ledger knows of it, and what is given to others: a wheel, under licences that allow it."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import app
from gql_server.processes.operating_day import DAY, REPLAY
from gql_server.release import build_version, code_digest
from gql_server.settings import Settings
from tests.command_line import environment
from tests.graph.failures.conftest import Fail, fail
from tests.graphql import Client
from tests.test_cli import free_port, wait_until_ready

__all__ = ["fail"]

ROOT = Path(__file__).parent.parent

FLEET = "{ workers { gitSha version } health { revisions } }"


def test_a_build_is_told_by_its_version_and_its_code(tmp_path: Path):
    (tmp_path / "module.py").write_text("x = 1\n")
    before, again = code_digest(tmp_path), code_digest(tmp_path)
    (tmp_path / "module.py").write_text("x = 2\n")

    assert (again == before, code_digest(tmp_path) == before) == (True, False)
    assert build_version().startswith(f"{version('gql-server')}+")


async def work_for_a_moment(dsn: str, settings: Settings) -> None:
    """A worker of these settings registers."""
    worker, engine = app.create_worker(settings, dsn)
    await worker._register()  # pyright: ignore[reportPrivateUsage]
    await engine.dispose()


async def test_a_worker_that_is_told_no_revision_runs_that_of_its_build(engine: AsyncEngine, dsn: str):
    await work_for_a_moment(dsn, Settings())

    found = await Client(engine, "superadmin").query(FLEET)

    assert found == {
        "workers": [{"gitSha": build_version(), "version": version("gql-server")}],
        "health": {"revisions": [build_version()]},
    }


async def test_a_failure_is_new_after_another_build_began_to_work(
    engine: AsyncEngine, dsn: str, fail: Fail, monkeypatch: pytest.MonkeyPatch
):
    await fail("an old cause", 1)
    await work_for_a_moment(dsn, Settings())
    monkeypatch.setattr(app, "build_version", lambda: "0.1.0+changed")
    await work_for_a_moment(dsn, Settings())
    await fail("a new cause", -1)

    found = await Client(engine).query("{ failureGroups { nodes { title isNew } } health { revisions } }")

    assert found["failureGroups"]["nodes"] == [
        {"title": "Unclassified: a new cause", "isNew": True},
        {"title": "Unclassified: an old cause", "isNew": False},
    ]
    assert found["health"] == {"revisions": sorted([build_version(), "0.1.0+changed"])}


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, or that which `make release` has built."""
    if built := os.environ.get("GQL_TEST_WHEEL"):
        return Path(built)
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of that wheel in an environment without this checkout: with the locked packages, as `make release`
    installs them, or with those that are installed here."""
    if given := os.environ.get("GQL_TEST_INSTALLED"):
        return Path(given) / "bin/gql-server"
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin/gql-server"


def test_the_wheel_holds_all_that_the_commands_read(wheel: Path):
    held = set(zipfile.ZipFile(wheel).namelist())

    steps = {f"gql_server/examples/{step.file}" for step in (*DAY, *REPLAY)}
    kinds = ("*.sql", "*.graphql", "*.html", "*.css", "*.csv", "*.json")
    data = {path.relative_to(ROOT).as_posix() for kind in kinds for path in (ROOT / "gql_server").rglob(kind)}
    migrations = {f"gql_server/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "migrations").rglob("*.py")}
    assert (steps | data | migrations | {"gql_server/examples/live/index.html"}) - held == set()
    assert not any(name.startswith(("tests/", "bench/", "frontend/")) for name in held)


@pytest.mark.slow
def test_the_demo_runs_from_a_wheel(installed: Path, tmp_path: Path):
    port = free_port()
    told = {**environment(tmp_path), "PYTHONPATH": ""}
    command = [installed, "demo", "--port", str(port)]
    demo = subprocess.Popen(command, cwd=tmp_path, env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_until_ready(demo, port)
        assert demo.stdout
        said = [line.strip() for line in iter(demo.stdout.readline, "ready\n")]
        token = next(line for line in said if line.startswith("ey"))
        response = httpx.post(
            f"http://127.0.0.1:{port}/graphql",
            json={"query": "{ pipelines(first: 1, filter: { kind: { in: [CSV_INGEST] } }) { totalCount { value } } }"},
            headers={"Authorization": f"Bearer {token}"},
        )
        page = httpx.get(f"http://127.0.0.1:{port}/live/")
        demo.send_signal(signal.SIGTERM)
        rest, _ = demo.communicate(timeout=60)
    finally:
        demo.kill()

    assert f"Reset      rm -r {tmp_path / 'data'}" in said
    assert response.json() == {"data": {"pipelines": {"totalCount": {"value": 10}}}}
    assert page.status_code == 200
    assert (demo.returncode, "Traceback" in rest) == (0, False)


def script(name: str) -> ModuleType:
    """A program of CI."""
    specification = importlib.util.spec_from_file_location(name, ROOT / f".ci/{name}.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("licence", "may_be_used"),
    [
        ("MIT", True),
        ("MIT License", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("AGPL-3.0-or-later", False),
        ("LGPL-2.1-only", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("UNKNOWN", False),
        ("", False),
        ("do what you like", False),
    ],
)
def test_a_licence_may_be_used_if_it_is_allowed_or_leaves_a_choice_that_is(licence: str, may_be_used: bool):
    licences, rules = script("licences"), tomllib.loads((ROOT / "releases/licences.toml").read_text("utf-8"))

    assert licences.is_allowed(licence, rules["allowed"], rules["words"]) is may_be_used


def test_a_dependency_of_another_licence_is_named_unless_it_was_accepted_and_so_is_an_exception_that_is_none():
    licences = script("licences")
    rules = {"allowed": ["MIT"], "words": {}, "accepted": {"known": "only a tool", "gone": "it was a tool"}}
    used = [licences.Dependency(name, "1.0", licence) for name, licence in (("good", "MIT"), ("bad", "GPL-3.0-only"))]

    assert licences.refused([*used, licences.Dependency("known", "2.0", "UNKNOWN")], rules) == [
        "bad 1.0 is under `GPL-3.0-only`",
        "releases/licences.toml accepts gone, which needs no exception",
    ]


def test_what_reaches_a_browser_is_listed_though_it_is_for_development_elsewhere_and_build_tools_are_not():
    command = ["npm", "sbom", "--sbom-format=cyclonedx", "--package-lock-only"]
    listed = json.loads(subprocess.run(command, cwd=ROOT / "frontend", check=True, capture_output=True).stdout)
    shipped = script("shipped").shipped(listed)

    names = {each["name"] for each in shipped["components"]}
    assert {"vue", "quasar", "react", "graphql-ws"} <= names
    assert names.isdisjoint({"vite", "vue-tsc", "typescript", "graphql-sock", "axe-core"})
    refs = {each["bom-ref"] for each in (*shipped["components"], shipped["metadata"]["component"])}
    assert {ref for each in shipped["dependencies"] for ref in (each["ref"], *each["dependsOn"])} <= refs


def test_pages_and_package_are_of_one_version():
    packages = [ROOT / "frontend" / folder / "package.json" for folder in ("", "client", "console")]

    assert {json.loads(path.read_text("utf-8"))["version"] for path in packages} == {version("gql-server")}


def test_the_changelog_has_a_day_for_each_version_and_says_nothing_twice():
    lines = (ROOT / "CHANGELOG.md").read_text("utf-8").splitlines()
    headings = [line for line in lines if line.startswith("## ")]
    said = [line for line in lines if line and not line.startswith("#")]

    assert headings[0] == "## Unreleased"
    assert all(re.fullmatch(r"## \d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}", heading) for heading in headings[1:])
    assert headings[1].startswith(f"## {version('gql-server')} - ")
    assert sorted(said) == sorted({*said})
