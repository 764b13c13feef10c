"""The build that runs, and what the ledger knows of it."""

from importlib.metadata import version
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import app
from gql_server.release import build_version, code_digest
from gql_server.settings import Settings
from tests.graph.failures.conftest import Fail, fail
from tests.graphql import Client

__all__ = ["fail"]

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
