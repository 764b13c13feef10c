"""The difference that the audit log keeps."""

from gql_server.commands.audit import difference


def test_only_fields_that_differ_are_told_by_their_path() -> None:
    before = {"same": 1, "deep": {"a": 1, "b": {"c": [1]}}, "gone": 2, "a/b~": 0}
    after = {"same": 1, "deep": {"a": 2, "b": {"c": [1, 2]}}, "new": {"x": None}, "a/b~": 1}

    assert difference(before, after) == {
        "/a~1b~0": {"before": 0, "after": 1},
        "/deep/a": {"before": 1, "after": 2},
        "/deep/b/c": {"before": [1], "after": [1, 2]},
        "/gone": {"before": 2},
        "/new": {"after": {"x": None}},
    }
