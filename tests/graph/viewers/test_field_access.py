import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.policy import GUARDS
from tests.graphql import Client

QUERY = """query ($coordinates: [SchemaCoordinate!]!) {
  viewer { fieldAccess(coordinates: $coordinates) { coordinate permission { allowed code message } } }
}"""


async def answers(client: Client, *coordinates: str) -> dict[str, tuple[bool, str | None]]:
    access = (await client.query(QUERY, coordinates=coordinates))["viewer"]["fieldAccess"]
    assert [each["coordinate"] for each in access] == list(coordinates)
    return {each["coordinate"]: (each["permission"]["allowed"], each["permission"]["code"]) for each in access}


YES, SOME, NO = (True, None), (True, "DEPENDS_ON_OBJECT"), (False, "MISSING_PERMISSION")


@pytest.mark.parametrize(
    ("role", "unit", "expected"),
    [
        ("superadmin", None, (YES, YES, YES, YES, YES, YES)),
        ("operator", None, (YES, YES, YES, YES, YES, YES)),
        ("principal", "A", (SOME, YES, NO, NO, SOME, NO)),
        ("standard", None, (NO, NO, NO, NO, NO, NO)),
    ],
)
async def test_each_role_is_told_what_would_be_redacted(
    engine: AsyncEngine, role: str, unit: str | None, expected: tuple[tuple[bool, str | None], ...]
):
    coordinates = ("Pipeline", "Job.state", "Job.errorDetail", "Actor.email", "WorkScope.unit", "YearConfiguration.config")

    found = await answers(Client(engine, role, unit=unit), *coordinates)

    assert found == dict(zip(coordinates, expected, strict=True))


async def test_what_nobody_guards_is_allowed_and_an_argument_goes_with_its_field(engine: AsyncEngine):
    open_to_all = (
        "Query.pipelines",
        "Query.pipelines(filter:)",
        "PipelineFilter.years",
        "JobState.RUNNING",
        "@access",
        "JobState",
    )

    found = await answers(Client(engine, "standard"), *open_to_all, "YearConfiguration.config(paths:)")

    assert found == {**dict.fromkeys(open_to_all, YES), "YearConfiguration.config(paths:)": NO}


async def test_each_role_is_told_which_filters_it_may_use(engine: AsyncEngine):
    filters = (
        "PipelineFilter.unitInstitutionalId",
        "PipelineFilter.triggeredBy",
        "PipelineFilter.workerId",
        "JobFilter.workerId",
    )

    operator = await answers(Client(engine, "operator"), *filters)
    principal = await answers(Client(engine, "principal", unit="A"), *filters)

    assert list(operator.values()) == [YES, YES, YES, YES]
    assert list(principal.values()) == [SOME, NO, NO, NO]


async def test_a_refusal_names_the_permission(engine: AsyncEngine):
    client = Client(engine, "principal", unit="A")

    [email, unit] = (await client.query(QUERY, coordinates=["Actor.email", "WorkScope.unit"]))["viewer"]["fieldAccess"]

    assert email["permission"]["message"] == "You need the permission `backoffice.users:view`."
    assert unit["permission"]["message"] == (
        "Only for some objects: each needs the permission `backoffice.pipeline_operations:view | modules.{module}:view@{unit}`."
    )


@pytest.mark.parametrize(
    "coordinate",
    [
        "Nothing",
        "Job.nothing",
        "Job.",
        "",
        "Job.state ",
        "Query.pipelines(nothing:)",
        "@nothing",
        "Nothing.state",
        "@nothing(x:)",
    ],
)
async def test_an_unknown_coordinate_is_named(engine: AsyncEngine, coordinate: str):
    answer = await Client(engine).execute(QUERY, coordinates=["Job.state", coordinate])

    [error] = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["message"] == f"Not a coordinate of this schema: {coordinate!r}."
    assert answer["data"] == {"viewer": {"fieldAccess": None}}


async def test_the_superadmin_may_read_every_guarded_coordinate(engine: AsyncEngine):
    assert set((await answers(Client(engine), *GUARDS)).values()) == {YES}


async def test_too_many_coordinates_are_refused(engine: AsyncEngine):
    assert await Client(engine).codes(QUERY, coordinates=["Job"] * 501) == ["BAD_USER_INPUT"]
