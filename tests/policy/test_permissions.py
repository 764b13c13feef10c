from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import EntityType, JobResult, Provider
from gql_server.policy import Role, Viewer, permissions_of
from tests import build
from tests.graphql import SCHEMA, Client, context, viewer

MODULE_KEYS = {
    "headcount",
    "professional_travel",
    "buildings",
    "equipment_electric_consumption",
    "purchase",
    "research_facilities",
    "external_cloud_and_ai",
    "process_emissions",
}


async def _listed(client: Client) -> list[str]:
    """Ids of what the viewer's list holds, and each of them can be read by itself as well."""
    nodes = (await client.query("{ pipelines { nodes { id } } }"))["pipelines"]["nodes"]
    ids = [node["id"] for node in nodes]
    for id in ids:
        assert (await client.query("query ($id: ID!) { node(id: $id) { id } }", id=id))["node"] == {"id": id}
    return ids


def test_operators_get_back_office_permissions_and_no_module():
    assert permissions_of(Role.OPERATOR, None) == {
        "backoffice.pipeline_operations:view",
        "backoffice.pipeline_operations:edit",
        "backoffice.configuration:view",
        "backoffice.configuration:edit",
        "backoffice.users:view",
        "backoffice.api:explore",
        "backoffice.failures:acknowledge",
        "views:edit",
    }


def test_principals_get_every_module_of_their_unit_and_views_alone_without_one():
    expected = {f"modules.{key}:{action}@10208" for key in MODULE_KEYS for action in ("view", "edit", "sync")}

    assert permissions_of(Role.PRINCIPAL, "10208") == expected | {"views:edit"}
    assert permissions_of(Role.PRINCIPAL, None) == {"views:edit"}


def test_standard_users_save_views_and_unknown_roles_get_nothing():
    assert permissions_of(Role.STANDARD, None) == {"views:edit"}
    assert permissions_of("calco2.something.new", "10208") == frozenset()


@pytest.mark.parametrize(
    ("role", "unit", "allowed"),
    [("superadmin", None, True), ("principal", "10208", True), ("principal", "20000", False), ("operator", None, False)],
)
def test_a_permission_without_unit_covers_every_unit(role: str, unit: str | None, allowed: bool):
    assert viewer(role, unit).may("modules.purchase:sync@10208") is allowed


def test_a_permission_for_a_unit_does_not_cover_the_others():
    assert not viewer("principal", "10208").may("modules.purchase:sync")


def test_who_stands_for_several_has_no_identity():
    several = viewer("operator").shared()

    with pytest.raises(LookupError, match="asked for everyone: declare it in gql_server/policy"):
        _ = several.identity
    assert viewer("operator").identity == "operator"


async def test_each_role_sees_its_pipelines_and_only_those(engine: AsyncEngine):
    async with engine.begin() as connection:
        specific = {"entity_type": EntityType.MODULE_UNIT_SPECIFIC}
        await build.run(connection, JobResult.SUCCESS)
        await build.run(connection, JobResult.SUCCESS, unit_institutional_id="A", **specific)
        await build.run(connection, JobResult.SUCCESS, unit_institutional_id="B", **specific)
        await build.run(connection, JobResult.SUCCESS, unit_institutional_id=None, **specific)
        await build.run(connection, JobResult.SUCCESS, unit_institutional_id="A", module_type_id=99, **specific)
        await build.run(connection, JobResult.SUCCESS, unit_institutional_id="A")
        await build.run(connection, JobResult.SUCCESS, unit_institutional_id="A", provider=Provider.TEST, **specific)
        await build.job(connection, result=JobResult.ERROR)

    counts = {
        (role, unit, provider): len(await _listed(Client(engine, role, unit=unit, provider=provider)))
        for role, unit, provider in (
            ("superadmin", None, "DEFAULT"),
            ("operator", None, "DEFAULT"),
            ("operator", None, "TEST"),
            ("operator", None, "ACCRED"),
            ("principal", "A", "DEFAULT"),
            ("principal", "B", "DEFAULT"),
            ("principal", "C", "DEFAULT"),
            ("principal", "A", "TEST"),
            ("standard", None, "DEFAULT"),
        )
    }

    assert counts == {
        ("superadmin", None, "DEFAULT"): 7,
        ("operator", None, "DEFAULT"): 7,
        ("operator", None, "TEST"): 1,
        ("operator", None, "ACCRED"): 0,
        ("principal", "A", "DEFAULT"): 1,
        ("principal", "B", "DEFAULT"): 1,
        ("principal", "C", "DEFAULT"): 0,
        ("principal", "A", "TEST"): 1,
        ("standard", None, "DEFAULT"): 0,
    }


async def test_what_is_not_visible_does_not_exist_by_any_name(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection, unit_institutional_id="B", entity_type=EntityType.MODULE_UNIT_SPECIFIC)
        job_id = await build.job(connection, pipeline_id, entity_type=EntityType.MODULE_UNIT_SPECIFIC)
        orphan_id = await build.job(connection)
    query = """query ($pipeline: UUID!, $job: Int!, $orphan: Int!) {
      byId: pipeline(by: { pipelineId: $pipeline }) { id }
      byJob: pipeline(by: { jobId: $job }) { id }
      orphan: pipeline(by: { jobId: $orphan }) { id }
      job(by: { jobId: $job }) { id }
    }"""
    names = {"pipeline": str(pipeline_id), "job": job_id, "orphan": orphan_id}

    claimed: list[dict[str, Any]] = [
        {"role": "principal", "unit": "A"},
        {"role": "operator", "provider": "TEST"},
        {"role": "standard"},
    ]
    for claims in claimed:
        assert await Client(engine, **claims).query(query, **names) == {
            "byId": None,
            "byJob": None,
            "orphan": None,
            "job": None,
        }
    assert (await Client(engine, "operator").query(query, **names))["byId"] is not None


async def test_a_redacted_field_is_null_and_reported_once(engine: AsyncEngine):
    async with engine.begin() as connection:
        specific = {"unit_institutional_id": "A", "entity_type": EntityType.MODULE_UNIT_SPECIFIC}
        for _ in range(3):
            await build.run(connection, JobResult.SUCCESS, created_by={"name": "Ada", "email": "ada@example.org"}, **specific)
        await build.run(connection, JobResult.SUCCESS)
    query = "{ pipelines { nodes { triggeredBy { displayName email } scope { unit { institutionalId } } } } }"

    operator = await Client(engine, "operator").execute(query)
    principal = await Client(engine, "principal", unit="A").execute(query)
    permissions = frozenset({"modules.equipment_electric_consumption:sync@A"})
    uploader = await SCHEMA.execute(
        "{ pipelines { nodes { scope { unit { id } } } } }",
        context_value=context(engine, Viewer(subject="bo", provider="DEFAULT", permissions=permissions)),
    )

    ada = {"displayName": "Ada", "email": "ada@example.org"}
    nobody = {"displayName": None, "email": None}
    assert operator["data"]["pipelines"]["nodes"] == [
        {"triggeredBy": nobody, "scope": {"unit": None}},
        *[{"triggeredBy": ada, "scope": {"unit": {"institutionalId": "A"}}}] * 3,
    ]
    assert "extensions" not in operator
    permission = "backoffice.pipeline_operations:view | modules.{module}:view@{unit}"
    assert uploader.data == {"pipelines": {"nodes": [{"scope": {"unit": None}}] * 3}}
    assert uploader.extensions is not None
    assert uploader.extensions["redactions"] == [{"coordinate": "WorkScope.unit", "permission": permission, "count": 3}]
    assert principal["data"]["pipelines"]["nodes"] == [{"triggeredBy": nobody, "scope": {"unit": {"institutionalId": "A"}}}] * 3
    assert principal["extensions"]["redactions"] == [
        {"coordinate": "Actor.displayName", "permission": "backoffice.users:view", "count": 3},
        {"coordinate": "Actor.email", "permission": "backoffice.users:view", "count": 3},
    ]
    assert "errors" not in operator | principal


async def test_the_superadmin_reads_every_guarded_field(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(
            connection,
            JobResult.ERROR,
            unit_institutional_id="A",
            entity_type=EntityType.MODULE_UNIT_SPECIFIC,
            created_by={"email": "ada@example.org"},
        )
        await build.year(connection, 2025, config={"a": 1})

    answer = await Client(engine).execute(
        """{
          pipelines { nodes {
            triggeredBy { displayName email } scope { unit { institutionalId } } rootJob { lockedAt errorDetail }
          } }
          yearConfigurations { config }
        }"""
    )

    assert answer["data"] == {
        "pipelines": {
            "nodes": [
                {
                    "triggeredBy": {"displayName": "ada@example.org", "email": "ada@example.org"},
                    "scope": {"unit": {"institutionalId": "A"}},
                    "rootJob": {"lockedAt": None, "errorDetail": "Job created"},
                }
            ]
        },
        "yearConfigurations": [{"config": {"a": 1}}],
    }
    assert "extensions" not in answer


async def test_the_text_of_an_unexpected_error_is_for_operators(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(
            connection,
            status="FAILED",
            entity_type="MODULE_UNIT_SPECIFIC",
            module_type_id=8,
            unit_institutional_id="A",
            error_count=1,
            last_error="duplicate key value violates unique constraint",
        )
        await build.job(
            connection,
            pipeline_id=pipeline_id,
            state="FINISHED",
            result="ERROR",
            status_message="duplicate key value violates unique constraint",
            meta={"error": "IntegrityError: duplicate key value violates unique constraint"},
        )
    query = "query ($id: UUID!) { pipeline(by: {pipelineId: $id}) { message lastError rootJob { message errorDetail } } }"

    operator = (await Client(engine, "operator").query(query, id=str(pipeline_id)))["pipeline"]
    principal = (await Client(engine, "principal", unit="A").query(query, id=str(pipeline_id)))["pipeline"]

    assert operator["message"] == operator["lastError"] == "duplicate key value violates unique constraint"
    assert operator["rootJob"]["errorDetail"].startswith("IntegrityError")
    assert principal == {
        "message": "The job failed unexpectedly.",
        "lastError": "The job failed unexpectedly.",
        "rootJob": {"message": "The job failed unexpectedly.", "errorDetail": None},
    }
