"""French of what the server says of a state and of a refusal: complete, and of nothing that is not said any more."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gql_server.ledger.failures.rules import RULES

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "gql_server"
FRENCH: dict[str, str] = json.loads((ROOT / "frontend" / "console" / "src" / "locales" / "server.fr.json").read_text("utf-8"))
TELLING = [
    *(f"reads/diagnosis/{name}.py" for name in ("advice", "failures", "lacks", "refusals", "rejections")),
    *(f"reads/diagnosis/{name}.py" for name in ("retry_advice", "rules", "permitted", "reasons")),
    "reads/fleet/checks.py",
    "reads/years/blockers.py",
    *(f"policy/{name}.py" for name in ("pipelines", "retry", "years", "capabilities")),
]
"""Modules in which every sentence is told."""
REFUSING = [
    *(f"commands/{name}.py" for name in ("checks", "bulk", "pipelines", "recalculation", "views", "years", "failures")),
    *(f"commands/{name}.py" for name in ("ingestion", "already_ingested", "idempotency", "retry", "sources")),
    "graph/mutations/bulk.py",
    "http/uploads.py",
]
"""Modules of which the refusals are told."""
REFUSALS = {"BadInput", "Conflict", "Forbidden", "NotFound", "TooLarge", "BodyRefused"}
NO_SENTENCE = re.compile(
    r"\\|\(\?P|%H|^first error|^\{\} for \{\}$|^See its row errors\. \{\}$|^(?!.*[a-z] [a-z`{]).*$", re.DOTALL
)
PLACES = {
    "`{}` for {}",
    "the module `{}` for {}",
    "its module for {}",
    "factors",
    "reduction objectives",
    "See its row errors.",
    "{} (and 1 more of this)",
    "config{}: {}",
}
"""Parts that the modules put together."""


VALIDATION = re.compile(r"^Input should be |^Field required$")
"""Words of pydantic about a value."""

TITLES = {form for rule in RULES for form in (rule.title, f"{rule.title}: {{}}")}
"""Of failure groups, with the cause and without."""


def template(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"\{\w+\}", "{}", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def said(tree: ast.AST) -> Iterator[str]:
    """Every text with a blank, but for docstrings."""
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node
    }
    for node in ast.walk(tree):
        if id(node) not in docs | inner and (text := template(node)) and " " in text and not NO_SENTENCE.search(text):
            yield text


def refusals(tree: ast.AST) -> Iterator[str]:
    """The message of each error that is made, also where it has been given a name."""
    named = {
        target.id: assign.value
        for assign in ast.walk(tree)
        if isinstance(assign, ast.Assign)
        for target in assign.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in REFUSALS and call.args:
            message = call.args[0]
            text = template(named.get(message.id, message) if isinstance(message, ast.Name) else message)
            if text:
                yield text


def texts(path: str) -> list[str]:
    tree = ast.parse((SERVER / path).read_text("utf-8"))
    return list(said(tree) if path in TELLING else refusals(tree))


@pytest.mark.parametrize("path", [*TELLING, *REFUSING])
def test_everything_that_a_module_tells_has_its_french(path: str) -> None:
    assert texts(path)
    assert [text for text in texts(path) if text not in FRENCH] == []


def test_every_title_of_a_failure_has_its_french() -> None:
    assert sorted(TITLES - FRENCH.keys()) == []


def test_a_french_sentence_takes_as_many_values_as_the_english_one() -> None:
    fewer = {"only its owner may {} a view": 0}

    assert [text for text, french in FRENCH.items() if french.count("{}") != fewer.get(text, text.count("{}"))] == []


def test_no_sentence_is_kept_that_is_not_told_any_more() -> None:
    told = {text for path in SERVER.rglob("*.py") for text in said(ast.parse(path.read_text("utf-8")))}

    assert [text for text in FRENCH if text not in told | PLACES | TITLES and not VALIDATION.match(text)] == []
