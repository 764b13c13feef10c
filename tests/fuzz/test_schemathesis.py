"""Operations that schemathesis makes of the schema, sent as three viewers: no answer is a 5xx or has the code INTERNAL, and
each has the shape that GraphQL's have."""

import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import schemathesis
from graphql import ValueNode, parse_value
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.graphql import nodes
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.graph.cost.budgets import Budgets
from gql_server.graph.schema import sdl
from tests.graphql import Client
from tests.policy import worlds

pytestmark = pytest.mark.schemathesis

ROLES = ("superadmin", "principal", "standard")
EXAMPLES = int(os.environ.get("GQL_TEST_SCHEMATHESIS_EXAMPLES", "22"))
"""Of each root field, of which there are more than thirty: 700 cases a viewer."""
ANY_DATA = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.filter_too_much,
    HealthCheck.large_base_example,
]
LANE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=ANY_DATA,
    phases=[Phase.generate],  # shrinking takes minutes, and the document is in the message
)


def instants() -> st.SearchStrategy[ValueNode]:
    return st.datetimes().map(lambda instant: nodes.String(f"{instant.isoformat()}Z"))


# of the values that clients make up, some are none
SCALARS: dict[str, st.SearchStrategy[ValueNode]] = {
    "UUID": st.uuids().map(str).map(nodes.String) | st.text(max_size=40).map(nodes.String),
    "DateTime": instants() | st.text(max_size=20).map(nodes.String),
    "FeedToken": st.text(max_size=40).map(nodes.String),
    "JSON": st.sampled_from(['{a: 1, b: [true, "x"]}', "{}", "[]", "null", "1e9"]).map(parse_value),
    "SchemaCoordinate": st.text(max_size=20).map(nodes.String),
}
for name, strategy in SCALARS.items():
    schemathesis.graphql.scalar(name, strategy)

SCHEMA = schemathesis.graphql.from_file(sdl())
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)}
OUTCOMES: Counter[str] = Counter()


@pytest.fixture(scope="module")
async def ledger(postgres: str, template: str) -> AsyncIterator[AsyncEngine]:
    """A database that has something of everything, which these operations may change."""
    async with worlds.database(postgres, template, worlds.everything()) as engine:
        yield engine


@pytest.fixture(scope="module", autouse=True)
def outcomes() -> Iterator[None]:
    """Printed in the end: operations by what became of them."""
    yield
    sys.stdout.write("".join(f"\n{count:6} {outcome}" for outcome, count in OUTCOMES.most_common()) + "\n")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("label", OPERATIONS)
@given(data=st.data())
@LANE
async def test_an_operation_is_answered(ledger: AsyncEngine, label: str, role: str, data: st.DataObject):
    client = Client(ledger, role, unit="10208" if role == "principal" else None, budgets=Budgets(per_minute=10**9))
    document = data.draw(OPERATIONS[label].as_strategy()).body

    response = await client.post(json={"query": document})

    assert response.status_code < 500, document
    body: dict[str, Any] = response.json()
    codes = sorted({error["extensions"]["code"] for error in body.get("errors", ())})
    assert "INTERNAL" not in codes, document
    assert body.keys() <= {"data", "errors", "extensions"}
    assert "data" in body or codes
    OUTCOMES[f"{role} {', '.join(codes) or 'without errors'}"] += 1
