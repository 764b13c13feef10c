"""The bag of a job: what is shown of it to whom, what is left out, and why."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db import dumps
from gql_server.db.models import EntityType, JobResult
from gql_server.reads.jobs.meta import VALUE_MAX_BYTES
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client

META = "meta { providerName filters entries { key value } omitted { key approximateBytes reason } }"
UNIT = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
ERROR = 'IntegrityError: duplicate key value violates unique constraint "uq_x"\nDETAIL: Key (a)=(SECRET) already exists.'
TEXT = ERROR.partition(": ")[2]


async def unit_job(engine: AsyncEngine, **values: Any) -> int:
    """A job that the principal of unit A may see."""
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, unit_institutional_id="A", **UNIT)
        return await build.job(connection, pipeline_id, **UNIT, **values)


async def read(engine: AsyncEngine, job_id: int, role: str = "operator", selection: str = META) -> dict[str, Any]:
    query = f"query ($id: Int!) {{ job(by: {{ jobId: $id }}) {{ {selection} }} }}"
    answer = await Client(engine, role, unit="A" if role == "principal" else None).execute(query, id=job_id)
    assert "errors" not in answer, answer["errors"]
    return answer


def omitted(answer: dict[str, Any]) -> list[tuple[str, int, str]]:
    entries = answer["data"]["job"]["meta"]["omitted"]
    return [(entry["key"], entry["approximateBytes"], entry["reason"]) for entry in entries]


async def test_what_is_not_allow_listed_is_named_with_its_size(engine: AsyncEngine):
    bag = {"row_errors": [{"row": 1, "reason": "é"}], "error": "x", "filters": {"a": 1}, "nothing": None}
    job_id = await unit_job(engine, meta=bag, config={"file_path": "f"}, result=JobResult.ERROR)

    operator, principal = await read(engine, job_id), await read(engine, job_id, "principal")

    named = [("config", 18), ("error", 3), ("row_errors", len(b'[{"row": 1, "reason": "\xc3\xa9"}]'))]
    assert omitted(operator) == [(*entry, "NOT_ALLOW_LISTED") for entry in named]
    assert omitted(principal) == [(*entry, "PERMISSION") for entry in named]
    assert [entry["key"] for entry in operator["data"]["job"]["meta"]["entries"]] == ["filters"]


@pytest.mark.parametrize(("length", "shown"), [(VALUE_MAX_BYTES - 2, True), (VALUE_MAX_BYTES - 1, False)])
async def test_an_allow_listed_value_over_the_limit_is_left_out_everywhere(engine: AsyncEngine, length: int, shown: bool):
    text = "x" * length
    job_id = await unit_job(engine, meta={"provider_name": text, "filters": text, "phases": []})

    answer = await read(engine, job_id)

    meta = answer["data"]["job"]["meta"]
    assert (meta["providerName"], meta["filters"]) == ((text, text) if shown else (None, None))
    assert [entry["key"] for entry in meta["entries"]] == (["provider_name", "filters", "phases"] if shown else ["phases"])
    expected = [(key, length + 2, "TOO_LARGE") for key in ("filters", "provider_name")]
    assert omitted(answer) == ([] if shown else expected)


async def test_the_whole_bag_is_for_who_may_edit(engine: AsyncEngine):
    bag = {"row_errors": [{"row": 1}], "filters": {"a": 1}, "status_history": [{"message": TEXT, "ts": "t"}], "error": ERROR}
    job_id = await unit_job(engine, meta=bag, config={"file_path": "f"}, result=JobResult.ERROR)
    bare = await unit_job(engine, meta=bag)

    operator = await read(engine, job_id, selection="meta { raw }")
    principal = await read(engine, job_id, "principal", selection="meta { raw }")

    assert operator["data"]["job"]["meta"]["raw"] == {"config": {"file_path": "f"}, **bag}
    assert (await read(engine, bare, selection="meta { raw }"))["data"]["job"]["meta"]["raw"] == bag
    assert principal["data"]["job"]["meta"] == {"raw": None}
    assert principal["extensions"]["redactions"] == [
        {"coordinate": "Meta.raw", "permission": "backoffice.pipeline_operations:edit", "count": 1}
    ]


async def test_the_history_tells_users_nothing_that_the_message_keeps_from_them(engine: AsyncEngine):
    history = [
        {"message": "Job created", "ts": "1"},
        {"message": TEXT, "ts": "2", "kind": "FINISHED"},
        {"message": TEXT.partition("\n")[0], "ts": "3"},
        {"ts": "4"},
        TEXT,
    ]
    failed = {"result": JobResult.ERROR, "status_message": TEXT}
    job_id = await unit_job(engine, meta={"status_history": history, "error": ERROR}, **failed)
    expected = await unit_job(engine, meta={"status_history": history}, **failed)
    selection = 'message meta { entries(keys: ["status_history"]) { value } }'

    operator = await read(engine, job_id, selection=selection)
    principal = await read(engine, job_id, "principal", selection=selection)

    unexpected = "The job failed unexpectedly."
    assert operator["data"]["job"]["meta"]["entries"] == [{"value": history}]
    assert principal["data"]["job"]["message"] == unexpected
    assert principal["data"]["job"]["meta"]["entries"] == [
        {
            "value": [
                {"message": "Job created", "ts": "1"},
                {"message": unexpected, "ts": "2", "kind": "FINISHED"},
                {"message": unexpected, "ts": "3"},
                {"ts": "4"},
            ]
        }
    ]
    assert "SECRET" not in dumps(principal)
    # a refusal that the job type put into words is for everybody
    told = await read(engine, expected, "principal", selection=selection)
    assert told["data"]["job"]["meta"]["entries"] == [{"value": history}]


@pytest.mark.parametrize("history", [{"a": 1}, "text", [], [1, None]])
async def test_a_history_of_another_shape_is_no_failure(engine: AsyncEngine, history: Any):
    job_id = await unit_job(engine, meta={"status_history": history, "error": ERROR}, result=JobResult.ERROR)

    answer = await read(engine, job_id, "principal")

    assert answer["data"]["job"]["meta"]["entries"] == []


async def test_a_pipeline_without_jobs_has_nothing_to_omit_or_deny(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.pipeline(connection, unit_institutional_id="A", **UNIT)
    query = "{ pipelines { nodes { meta { omitted { key } raw } } } }"

    answer = await Client(engine, "principal", unit="A").execute(query)

    assert answer == {"data": {"pipelines": {"nodes": [{"meta": {"omitted": [], "raw": None}}]}}}


async def test_the_bags_of_a_page_take_a_statement_for_each_part(engine: AsyncEngine):
    async with engine.begin() as connection:
        for _ in range(20):
            await build.run(connection, JobResult.SUCCESS, JobResult.SUCCESS)
    query = f"{{ pipelines {{ nodes {{ jobs {{ nodes {{ {META.replace('omitted', 'raw omitted')} }} }} }} }} }}"

    with statements(engine) as executed:
        await Client(engine).query(query)

    assert len(executed) == 6
