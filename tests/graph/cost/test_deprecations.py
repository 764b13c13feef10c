"""Planned removals are read from the schema itself."""

from datetime import UTC, datetime

from graphql import build_schema

from gql_server.graph.cost.deprecations import deprecations

SDL = """
type Query {
  old(of: Int, by: Int @deprecated(reason: "Use `of`; removed after 2027-03-01.")): Int
    @deprecated(reason: "Use `new`; removed after 2027-01-31.")
  new(input: Input): Kind
}
input Input { gone: Int @deprecated(reason: "removed after 2028-01-01") }
enum Kind { A @deprecated(reason: "B; removed after 2027-02-01") B }
"""


def test_everything_deprecated_is_listed_soonest_first() -> None:
    found = deprecations(build_schema(SDL))

    assert [each.coordinate for each in found] == ["Query.old", "Kind.A", "Query.old(by:)", "Input.gone"]
    assert found[0].removed_after == datetime(2027, 1, 31, tzinfo=UTC)
    assert found[0].reason == "Use `new`; removed after 2027-01-31."
