"""Documents that must stay true to the code."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUESTION = re.compile(r"(What|How|Whether|Those|Who|Whoever|Whom|Whose|Where|When|Whatever|Which|Why)\b")
DOMAIN = (ROOT / "docs" / "domain.md").read_text()


def test_each_rule_that_a_test_is_named_for_is_in_the_words_of_the_repository():
    named = {
        rule.upper()
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def test_((?:[a-z]\d+_)+)", path.read_text())
        for rule in name.strip("_").split("_")
    }
    rules = {
        rule.strip() for row in re.findall(r"^\| ([A-Z]\d+(?:, [A-Z]\d+)*) \|", DOMAIN, re.MULTILINE) for rule in row.split(",")
    }

    assert named - rules == set()


def test_docstrings_begin_with_what_is_done_or_returned() -> None:
    begins_otherwise = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("gql_server", "tests", "bench", "examples", "migrations")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if QUESTION.match(node.value.value)
    ]

    assert begins_otherwise == []
