"""Filters of the list of pipelines: what the graph takes, the address has."""

import re
from pathlib import Path

from graphql import GraphQLInputObjectType, build_schema

ROOT = Path(__file__).parents[2]
CLAUSES = (ROOT / "frontend" / "console" / "src" / "format" / "filters.ts").read_text("utf-8").split("export const CLAUSES")[1]


def test_every_clause_of_the_graph_is_in_the_address() -> None:
    taken = build_schema((ROOT / "schema.graphql").read_text("utf-8")).type_map["PipelineFilter"]
    assert isinstance(taken, GraphQLInputObjectType)
    written = set(re.findall(r"\b(?:list|text|flag|numbers|nested)\('\w+', '(\w+)'", CLAUSES.split("];")[0]))
    limited = {"durationSeconds"} if "limit(" in CLAUSES else set[str]()

    assert set(taken.fields) == written | limited


def test_no_parameter_stands_for_two_clauses() -> None:
    parameters = re.findall(r"\b(?:list|text|flag|numbers|nested|limit)\('(\w+)'", CLAUSES.split("];")[0])

    assert len(parameters) == len(set(parameters))
