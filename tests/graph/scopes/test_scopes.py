"""Scopes of work, and its actors."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult
from tests import build
from tests.graphql import Client


async def test_l14_a_module_or_entry_type_that_is_not_known_is_null_and_its_pipeline_is_listed(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, JobResult.SUCCESS, module_type_id=99)
        await build.job(connection, module_type_id=99, data_entry_type_id=990)
    root = "rootJob { scope { module { key } dataEntryType { key } } }"
    query = f"{{ pipelines {{ nodes {{ isOrphan scope {{ module {{ key }} }} {root} }} }} }}"

    nodes = (await Client(engine).query(query))["pipelines"]["nodes"]

    unknown = {"module": None, "dataEntryType": None}
    assert nodes == [{"isOrphan": orphan, "scope": {"module": None}, "rootJob": {"scope": unknown}} for orphan in (True, False)]


@pytest.mark.parametrize("orphan", [True, False])
@pytest.mark.parametrize(("created_by", "name"), [
    ({"name": "Ada", "email": "ada@example.org"}, "Ada"),
    ({"name": "", "email": "ada@example.org"}, "ada@example.org"),
    ({"email": "ada@example.org"}, "ada@example.org"),
    ({"user_id": "7"}, None),
    (None, None),
])  # fmt: skip
async def test_l14_the_author_is_the_name_else_the_email_else_nobody(
    engine: AsyncEngine, created_by: dict[str, Any] | None, name: str | None, orphan: bool
):
    async with engine.begin() as connection:
        if orphan:
            await build.job(connection, meta={"created_by": created_by})
        else:
            await build.run(connection, JobResult.SUCCESS, created_by=created_by)

    [node] = (await Client(engine).query("{ pipelines { nodes { triggeredBy { displayName } } } }"))["pipelines"]["nodes"]

    assert node == {"triggeredBy": {"displayName": name}}
