import pytest

from gql_server.http.sharing import plan, sharing_key
from gql_server.policy import BY_SUBJECT, Viewer
from tests.graphql import SCHEMA

PEOPLE = [Viewer(subject=name, provider="ACCRED", permissions=frozenset({"a"})) for name in ("ann", "bob")]
FOLLOW = "subscription { pipelines(filter: { years: [2025] }) { token } }"


def executions(query: str, variables: str = "{}") -> int:
    """How many executions two people of equal permissions need."""
    planned = plan(SCHEMA.executable, query, None)
    return len({sharing_key(planned, variables, each) for each in PEOPLE})


def test_people_of_equal_permissions_share_what_does_not_depend_on_them():
    assert executions(FOLLOW) == 1
    assert executions("subscription($filter: PipelineFilter) { pipelines(filter: $filter) { token } }", '{"filter":{}}') == 1


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("subscription { pipelines(filter: { triggeredByMe: true }) { token } }", "{}"),
        ("subscription { pipelines(filter: { triggeredBy: [] }) { token } }", "{}"),
        ("subscription { facets(keys: [STATUS, TRIGGERED_BY]) { __typename } }", "{}"),
        ("subscription($f: PipelineFilter) { pipelines(filter: $f) { token } }", '{"f":{"triggeredByMe":true}}'),
        ("subscription($k: [PipelineFacetKey!]!) { facets(keys: $k) { __typename } }", '{"k":["TRIGGERED_BY"]}'),
    ],
)
def test_what_depends_on_who_asks_is_executed_for_each(query: str, variables: str):
    assert executions(query, variables) == 2


def test_a_word_that_only_looks_like_one_is_no_reason_not_to_share():
    assert executions('subscription { pipelines(filter: { search: "triggeredByMe" }) { token } }') == 1


def test_what_is_executed_for_everyone_cannot_read_the_subject():
    everyone = PEOPLE[0].shared()

    with pytest.raises(LookupError, match="depends on the subject"):
        _ = everyone.identity
    assert PEOPLE[0].identity == "ann"


def test_every_coordinate_that_depends_on_the_subject_is_declared():
    assert sorted(BY_SUBJECT) == [
        "PipelineFacetKey.TRIGGERED_BY",
        "PipelineFilter.triggeredBy",
        "PipelineFilter.triggeredByMe",
        "QueryCost.budgetRemaining",
        "QueryCost.resetAt",
        "Viewer.displayName",
        "Viewer.id",
        "Viewer.views",
    ]
