from collections.abc import Callable

import pytest
from graphql import build_schema

from gql_server.graph import lint
from gql_server.graph.schema import sdl

ACCESS = """directive @access(permission: String!, onDenied: String! = "REDACT") on FIELD_DEFINITION | OBJECT
"""


def complaints(rule: Callable[..., lint.Complaints], definition: str) -> list[str]:
    return list(rule(build_schema(definition)))


def test_nothing_is_wrong_with_the_schema():
    assert lint.lint(sdl()) == []


def test_a_name_without_a_description_is_found_wherever_it_is():
    definition = """
      directive @marked(by: String) on FIELD_DEFINITION
      "Described." type Query { field(argument: Input): Choice  "Described." other: Int }
      input Input { value: Int }
      enum Choice { ONE }
    """

    assert complaints(lint.described, definition) == [
        f"{coordinate} has no description."
        for coordinate in (
            "Choice",
            "Choice.ONE",
            "Input",
            "Input.value",
            "Query.field",
            "Query.field(argument:)",
            "@marked",
            "@marked(by:)",
        )
    ]


def test_a_field_without_a_policy_line_is_named_with_the_line_to_add():
    definition = "type Unit { id: ID!, institutionalId: String!, budget: Int } type Planet { mass: Float, name: String }"

    found = [each for each in complaints(lint.governed, definition) if "is in the policy but not in the schema" not in each]

    assert found == [
        'Planet has no policy: add `"Planet": rule("mass name"),` to POLICY in gql_server/policy/table.py.',
        'Unit.budget has no policy: in gql_server/policy/table.py, add `budget` to the open fields of "Unit" if who sees the '
        "object may read it, else `budget=PERMISSION` (and declare it with `fields.guarded`).",
    ]


def test_an_argument_that_does_not_say_whether_it_depends_on_the_subject_is_named_with_the_question():
    definition = """
      type Query { pipelines(first: Int, filter: Int, orderBy: Int, around: ID, startedByMyTeam: Boolean): Int }
      input TimeRange { from: Int, to: Int, zone: String }
    """

    found = [each for each in complaints(lint.attributed, definition) if "not in the schema" not in each]

    assert found == [
        "Query.pipelines: does `startedByMyTeam` depend on who asks, beyond what they may see? Add it to "
        "gql_server/policy/inputs.py, among the names that are alike for everyone, or else to `by_subject`.",
        "TimeRange: does `zone` depend on who asks, beyond what they may see? Add it to gql_server/policy/inputs.py, among the "
        "names that are alike for everyone, or else to `by_subject`.",
    ]


def test_an_argument_that_is_gone_is_to_be_removed_from_the_policy():
    found = complaints(lint.attributed, "type Query { pipelines(filter: Int, orderBy: Int): Int }")

    assert "Query.pipelines: `around` is in gql_server/policy/inputs.py but not in the schema: remove it." in found


def test_a_policy_line_without_its_field_or_type_is_named():
    found = complaints(lint.governed, "type Unit { id: ID! }")

    assert found[0] == (
        'Unit.institutionalId is in the policy but not, or twice: remove `institutionalId` from "Unit" in '
        "gql_server/policy/table.py."
    )
    assert 'Pipeline is in the policy but not in the schema: remove "Pipeline" from gql_server/policy/table.py.' in found


@pytest.mark.parametrize(
    ("email", "found"),
    [
        ('"Address. Needs `backoffice.users:view`." email: String @access(permission: "backoffice.users:view")', 0),
        ('"Address. Needs `backoffice.users:view`." email: String', 1),
        ('"Address. Needs `backoffice.users:view`." email: String @access(permission: "x", onDenied: "REDACT")', 1),
        ('"Address." email: String', 2),
        ('"Address. Needs `backoffice.users:view`." email: String @access(permission: "x", onDenied: "REDACT") kind: Int', 1),
        ('kind: Int @access(permission: "backoffice.users:view", onDenied: "REDACT")', 1),
    ],
)
def test_the_directive_and_the_description_say_what_the_policy_says(email: str, found: int):
    email = email.replace('permission: "backoffice.users:view")', 'permission: "backoffice.users:view", onDenied: "REDACT")')

    assert len(complaints(lint.mirrored, f"{ACCESS} type Actor {{ {email} }}")) == found


def test_a_field_that_may_be_refused_is_nullable():
    assert complaints(lint.refusable, "type Actor { email: String!, displayName: String, kind: Int! }") == [
        "Actor.email may be refused, so it must be nullable."
    ]


def test_fields_that_clash_between_types_that_can_meet_are_found_at_any_depth():
    definition = """
      interface Thing { id: ID! }
      type One implements Thing { id: ID!, size: Int, part: PartOfOne, same: [Int!]! }
      type Two implements Thing { id: ID!, size: Int!, part: PartOfTwo, same: [Int!]! }
      type Apart { size: String }
      type PartOfOne { name: String, of: One }
      type PartOfTwo { name: [String], of: Two }
      union Either = One | Apart
      type Query { thing: Thing, either: Either }
    """

    assert sorted(complaints(lint.mergeable, definition)) == [
        "Apart.size: String and One.size: Int can meet in one selection: rename one.",
        "One.size: Int and Two.size: Int! can meet in one selection: rename one.",
        "PartOfOne.name: String and PartOfTwo.name: [String] can meet in one selection: rename one.",
    ]


def test_a_deprecation_that_does_not_say_since_when_what_instead_and_until_when_is_found():
    definition = """
      type Query {
        dated: Int @deprecated(reason: "Since 2026-11-29; use `Query.other`, which is exact; removed after 2027-06-30.")
        without: Int @deprecated(reason: "Since 2026-11-29; nothing replaces it; removed after 2027-06-30.")
        undated: Int @deprecated(reason: "Use `Query.other`.")
        field(argument: Int @deprecated): Int
        hasty: Int @deprecated(reason: "Since 2026-11-29; use `Query.other`; removed after 2026-12-31.")
        wrong: Int @deprecated(reason: "Since 2026-11-29; use `Query.more`; removed after 2027-06-30.")
        other: Int
      }
      enum Choice { ONE @deprecated TWO }
    """
    form = '"Since YYYY-MM-DD; use `…` (or: nothing replaces it); removed after YYYY-MM-DD."'

    assert complaints(lint.dated, definition) == [
        f"Query.undated: its deprecation must say {form}",
        f"Query.field(argument:): its deprecation must say {form}",
        "Query.hasty: its deprecation must leave 180 days from 2026-11-29.",
        "Query.wrong: `Query.more`, which its deprecation says to use, is not in the schema.",
        f"Choice.ONE: its deprecation must say {form}",
    ]


def test_a_connection_that_is_none_of_relays_is_found():
    definition = """
      type PageInfo { hasNextPage: Boolean! }
      type GoodConnection { edges: [GoodEdge!]!, pageInfo: PageInfo! }
      type GoodEdge { node: Int, cursor: String! }
      type BadConnection { edges: [Int], pageInfo: PageInfo }
      type WorseConnection { edges: [WorseEdge], pageInfo: PageInfo! }
      type WorseEdge { node: Int, cursor: String }
      type Query {
        good(first: Int, after: String): GoodConnection
        both(first: Int, after: String, last: Int, before: String): GoodConnection
        bad(first: Int!, after: String): GoodConnection!
        worse(page: Int): GoodConnection
      }
    """

    assert complaints(lint.relay, definition) == [
        "BadConnection.pageInfo must be `PageInfo!`.",
        "BadConnection.edges must be a list of edges.",
        "Query.bad may fail without its parent, so it must be nullable (with `SemanticNonNull`).",
        "Query.bad must take `first: Int` and `after: String`.",
        "Query.worse must take `first` and `after`, or `last` and `before`.",
        "WorseEdge must have `node` and `cursor: String!`.",
    ]
