"""A schema beside that of the last release: what breaks its clients is named, and passes only with a reason."""

from datetime import date

import pytest

from gql_server.graph.lint import changes, unaccepted

DIRECTIVES = """
directive @access(permission: String!) on FIELD_DEFINITION
directive @semanticNonNull(levels: [Int!] = [0]) on FIELD_DEFINITION
directive @experimental(since: String!) on FIELD_DEFINITION
"""
BEFORE = """
type Query { pipeline(id: ID!, deep: Boolean = false): Pipeline, fresh: Int @experimental(since: "0.1") }
type Pipeline {
  id: ID!
  status: Status!
  comment: String
  unit: String @semanticNonNull
  old: Int @deprecated(reason: "Since 2026-01-01; use `Pipeline.status`; removed after 2026-07-01.")
}
enum Status { GOOD BAD }
input Filter { years: [Int!] }
"""
TODAY = date(2026, 11, 29)


def changed(*edits: tuple[str, str], today: date = TODAY) -> list[str]:
    after = BEFORE
    for old, new in edits:
        assert old in after
        after = after.replace(old, new)
    return changes(DIRECTIVES + BEFORE, DIRECTIVES + after, today)


@pytest.mark.parametrize(
    ("edit", "change"),
    [
        (("  comment: String\n", ""), "breaking: Field Pipeline.comment was removed."),
        (("comment: String", "comment: Int"), "breaking: Field Pipeline.comment changed type from String to Int."),
        (("id: ID!, deep", "id: ID!, of: Int!, deep"), "breaking: A required argument Query.pipeline(of:) was added."),
        (("GOOD BAD", "GOOD"), "breaking: Enum value Status.BAD was removed."),
        (("GOOD BAD", "GOOD BAD UGLY"), "dangerous: Enum value Status.UGLY was added."),
        (
            ("deep: Boolean = false", "deep: Boolean = true"),
            "dangerous: Query.pipeline(deep:) has changed defaultValue from false to true.",
        ),
        (("unit: String @semanticNonNull", "unit: String"), "breaking: Pipeline.unit may be null without an error."),
        (
            ("comment: String", 'comment: String @access(permission: "view")'),
            'dangerous: Pipeline.comment is under @access(permission: "view").',
        ),
    ],
)
def test_a_change_that_breaks_clients_or_may_is_named(edit: tuple[str, str], change: str):
    assert changed(edit) == [change]


def test_what_only_adds_is_no_such_change():
    assert (
        changed(("years: [Int!]", "years: [Int!], search: String"), ("comment: String", "comment: String, note(of: Int): Int"))
        == []
    )


def test_what_is_experimental_may_change_or_vanish():
    assert changed((', fresh: Int @experimental(since: "0.1")', "")) == []
    assert changed(("fresh: Int", "fresh: String")) == []


def test_what_is_deprecated_may_go_once_its_day_has_passed_and_may_not_change_otherwise():
    old = '  old: Int @deprecated(reason: "Since 2026-01-01; use `Pipeline.status`; removed after 2026-07-01.")\n'

    assert changed((old, "")) == []
    assert changed((old, ""), today=date(2026, 7, 1)) == ["breaking: Field Pipeline.old was removed."]
    assert changed(("old: Int", "old: String")) == ["breaking: Field Pipeline.old changed type from Int to String."]


def test_a_change_passes_with_a_reason_and_a_reason_only_with_a_change():
    change = "breaking: Field Pipeline.comment was removed."

    assert unaccepted([change], {change: "nobody asked for it"}) == []
    assert unaccepted([change], {}) == [f"{change} It may be accepted, with a reason, in releases/accepted.toml."]
    assert unaccepted([change], {change: " "}) == [f"releases/accepted.toml gives no reason for: {change}"]
    assert unaccepted([], {change: "nobody asked for it"}) == [f"releases/accepted.toml accepts what is no change: {change}"]
