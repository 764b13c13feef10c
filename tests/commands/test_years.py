"""A year's settings change key by key, and it opens only when it is provisioned."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server import handlers
from gql_server.carbon.year_configuration import default_config, merge
from gql_server.commands.years import close_year, create_year, open_year, update_year
from gql_server.db.models import Provider
from gql_server.errors import BadInput, Conflict, Forbidden, NotFound
from gql_server.policy import Viewer
from gql_server.worker import registry
from tests import build
from tests.graphql import viewer

assert handlers.__all__
OPERATOR = viewer("operator")


def threshold(module: int, entry_type: int, value: float | None) -> dict[str, Any]:
    return {"modules": {str(module): {"submodules": {str(entry_type): {"threshold": value}}}}}


async def provision(engine: AsyncEngine, **values: Any) -> None:
    async with engine.begin() as connection:
        await build.year(connection, 2025, **{"config": default_config(), **values})


async def update(engine: AsyncEngine, who: Viewer = OPERATOR, year: int = 2025, **values: Any) -> None:
    async with engine.begin() as connection:
        await update_year(connection, who, year, **values)


async def count(engine: AsyncEngine, table: str) -> int:
    async with engine.connect() as connection:
        return (await connection.scalar(text(f"SELECT count(*) FROM {table}"))) or 0


async def stored(engine: AsyncEngine) -> Row[Any]:
    async with engine.connect() as connection:
        return (await connection.execute(text("SELECT config, is_started, updated_at FROM year_configuration"))).one()


async def test_y7_a_patch_of_one_threshold_leaves_its_siblings_and_replaces_goals(engine: AsyncEngine) -> None:
    await provision(engine, updated_at=datetime(2025, 1, 1, tzinfo=UTC))
    goals = {"reduction_objectives": {"goals": [{"target_year": 2030, "reduction_percentage": 0.4}]}}
    await update(engine, config=goals)

    await update(engine, config=threshold(5, 60, 12.5))

    year = await stored(engine)
    assert year.config == merge(merge(default_config(), goals), threshold(5, 60, 12.5))
    assert year.is_started is False
    assert year.updated_at > datetime(2025, 2, 1, tzinfo=UTC)
    await update(engine, config={"reduction_objectives": {"goals": []}})
    assert (await stored(engine)).config == merge(default_config(), threshold(5, 60, 12.5))


async def test_y7_a_refused_patch_changes_nothing_and_names_the_path(engine: AsyncEngine) -> None:
    await provision(engine)
    goals = [{"target_year": 2025, "reduction_percentage": 0.4}]

    with pytest.raises(BadInput) as refused:
        await update(engine, config={"reduction_objectives": {"goals": goals}}, is_started=True)

    assert refused.value.details == {"argument": "config", "path": "/reduction_objectives/goals/0/target_year"}
    year = await stored(engine)
    assert (year.config, year.is_started) == (default_config(), False)


async def test_y7_patches_of_different_keys_at_once_all_survive(engine: AsyncEngine) -> None:
    await provision(engine)
    places = [(5, 60), (5, 61), (5, 62), (4, 10), (4, 11), (8, 50), (7, 40), (7, 41)]

    await asyncio.gather(*(update(engine, config=threshold(*place, value)) for value, place in enumerate(places)))

    config = (await stored(engine)).config
    found = {place: config["modules"][str(place[0])]["submodules"][str(place[1])]["threshold"] for place in places}
    assert found == {place: value for value, place in enumerate(places)}


async def test_y9_a_year_that_is_not_provisioned_is_not_opened(engine: AsyncEngine) -> None:
    await provision(engine, configuration_completed=None)

    with pytest.raises(Conflict) as refused:
        await update(engine, config=threshold(5, 60, 1), is_started=True)

    assert refused.value.details == {"reason": "YEAR_NOT_PROVISIONED", "year": 2025}
    year = await stored(engine)
    assert (year.config, year.is_started) == (default_config(), False)
    await update(engine, config=threshold(5, 60, 1))
    assert (await stored(engine)).config == merge(default_config(), threshold(5, 60, 1))


async def test_y9_a_provisioned_year_is_opened_and_closed(engine: AsyncEngine) -> None:
    await provision(engine)

    async with engine.begin() as connection:
        await open_year(connection, OPERATOR, 2025)
    opened = await stored(engine)
    await update(engine, config=threshold(5, 60, 1))
    kept = await stored(engine)
    async with engine.begin() as connection:
        await close_year(connection, OPERATOR, 2025)
    closed = await stored(engine)

    assert (opened.is_started, kept.is_started, closed.is_started) == (True, True, False)
    assert opened.config == default_config()
    assert closed.config == kept.config == merge(default_config(), threshold(5, 60, 1))


@pytest.mark.parametrize(("who", "year", "refusal"), [
    (viewer("standard"), 2025, Forbidden),
    (viewer("principal", "10208"), 2025, Forbidden),
    (viewer("standard"), 2024, Forbidden),
    (OPERATOR, 2024, NotFound),
    (viewer("operator", provider=Provider.TEST), 2025, NotFound),
    (Viewer("editor", "DEFAULT", frozenset({"backoffice.configuration:edit"})), 2025, NotFound),
])  # fmt: skip
async def test_only_who_may_configure_and_sees_the_year_changes_it(
    engine: AsyncEngine, who: Viewer, year: int, refusal: type[Exception]
) -> None:
    await provision(engine)

    with pytest.raises(refusal):
        await update(engine, who, year, is_started=True)

    assert (await stored(engine)).is_started is False


async def test_a_new_year_differs_from_the_defaults_where_it_says_so(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await create_year(connection, registry, OPERATOR, 2025, config=threshold(5, 60, 3))

    year = await stored(engine)
    assert (year.config, year.is_started) == (merge(default_config(), threshold(5, 60, 3)), False)


async def test_y9_a_new_year_is_not_created_open(engine: AsyncEngine) -> None:
    with pytest.raises(Conflict) as refused:
        async with engine.begin() as connection:
            await create_year(connection, registry, OPERATOR, 2025, is_started=True)

    assert refused.value.details == {"reason": "YEAR_NOT_PROVISIONED", "year": 2025}
    assert await count(engine, "year_configuration") == await count(engine, "pipelines") == 0


async def test_what_a_patch_changes_is_in_the_audit_log_field_by_field(engine: AsyncEngine) -> None:
    await provision(engine)

    await update(engine, config=threshold(5, 60, 12.5), is_started=True)

    async with engine.connect() as connection:
        statement = "SELECT provider, actor ->> 'user_id', command, target, changes FROM audit_log"
        entries = [tuple(row) for row in await connection.execute(text(statement))]
    changes = {
        "/config/modules/5/submodules/60/threshold": {"before": None, "after": 12.5},
        "/is_started": {"before": False, "after": True},
    }
    assert entries == [("DEFAULT", "operator", "update_year", {"year": 2025}, changes)]


async def test_a_refused_patch_is_not_in_the_audit_log(engine: AsyncEngine) -> None:
    await provision(engine)

    with pytest.raises(BadInput):
        await update(engine, config=threshold(1, 1, 3))

    assert await count(engine, "audit_log") == 0


async def test_a_new_year_with_bad_settings_is_not_created(engine: AsyncEngine) -> None:
    with pytest.raises(BadInput) as refused:
        async with engine.begin() as connection:
            await create_year(connection, registry, OPERATOR, 2025, config=threshold(1, 1, 3))

    assert refused.value.details["path"] == "/modules/1/submodules/1/threshold"
    async with engine.connect() as connection:
        counts = "SELECT (SELECT count(*) FROM year_configuration), (SELECT count(*) FROM pipelines)"
        assert tuple((await connection.execute(text(counts))).one()) == (0, 0)
