"""Documents that must stay true to the code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
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
