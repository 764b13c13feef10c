"""Viewers of equal permissions share the execution of a live operation, unless it depends on who asks."""

import gc
import json
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from gql_server.http.sharing import plan, sharing_key
from tests.graphql import SCHEMA, viewer

ONE = "subscription ($id: ID!) { pipeline(by: { id: $id }) { token } }"
LIST = "subscription ($filter: PipelineFilter) { pipelines(filter: $filter) { token } }"
FACETS = "subscription ($keys: [PipelineFacetKey!]!) { facets(keys: $keys) { key } }"


@pytest.mark.parametrize(
    ("query", "variables", "is_shared"),
    [
        (ONE, {"id": "UGlwZWxpbmU6MQ=="}, True),
        (LIST, {"filter": {"ids": ["UGlwZWxpbmU6MQ=="]}}, True),
        (LIST, {"filter": {"triggeredByMe": True}}, False),
        (LIST, {"filter": {"triggeredBy": ["me"]}}, False),
        ("subscription { pipelines(filter: { triggeredByMe: true }) { token } }", {}, False),
        (FACETS, {"keys": ["STATUS"]}, True),
        (FACETS, {"keys": ["TRIGGERED_BY"]}, False),
    ],
)
def test_an_operation_is_shared_unless_it_depends_on_who_asks(query: str, variables: dict[str, Any], is_shared: bool) -> None:
    planned, operator = plan(SCHEMA.executable, query, None), viewer("operator")
    keys = {sharing_key(planned, json.dumps(variables), replace(operator, subject=name)) for name in ("one", "another")}
    assert planned.is_subscription
    assert len(keys) == (1 if is_shared else 2)


def test_of_a_long_document_nothing_is_kept() -> None:
    tracemalloc.start()
    try:
        for number in range(5):
            assert plan(SCHEMA.executable, f"{ONE} # {number}{'x' * 200_000}", None).is_subscription
        gc.collect()  # a document and its tokens know each other
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 150_000
