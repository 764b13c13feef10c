"""Effort that no clock has to measure, and documents that take much of it."""

import sys
from collections.abc import Callable
from typing import TypeVar

from graphql import get_introspection_query

T = TypeVar("T")


def calls_of(work: Callable[[], T]) -> tuple[T, int]:
    """Result of the function, and the number of calls of Python and C functions that it took: the same on every machine,
    however busy."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        return work(), calls
    finally:
        sys.setprofile(before)


def many(text: str, count: int) -> str:
    return " ".join(text.format(n=n) for n in range(count))


HOSTILE = {
    "unknown fields": f"{{ pipelines {{ nodes {{ {many('nonsense{n}', 1980)} }} }} }}",
    "misspelt fields": f"{{ pipelines {{ nodes {{ {many('statuz{n}', 1980)} }} }} }}",
    "one field often": f"{{ viewer {{ {many('id', 1980)} }} }}",
    "conflicts": f"{{ pipelines {{ nodes {{ {many('a: id a: status', 330)} }} }} }}",
    "chained fragments": "{ ...F0 } " + many("fragment F{n} on Query {{ viewer {{ id }} ...F{n} }}", 150),
    "doubling fragments": "{ ...F0 } " + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(140)),
    "crossing fragments": f"{{ {many('...F{n}', 90)} }} "
    + " ".join(f"fragment F{n} on Query {{ pipelines {{ nodes {{ id }} }} ...F{(n + 1) % 90} }}" for n in range(90)),
    "inline fragments": "{ pipelines { nodes { " + many("... on Pipeline {{ x: id x: id }}", 100) + " } } }",
    "operations": many("query Q{n} {{ viewer {{ id }} }}", 245),
    "variables": f"query ({many('$v{n}: Int', 440)}) {{ viewer {{ id }} }}",
    "directives": f"query {many('@a', 900)} {{ viewer {{ id }} }}",
    "directives of a field": f"{{ viewer {many('@a', 900)} {{ id }} }}",
    "unknown keys": f"{{ pipelines(filter: {{ {many('k{n}: 1', 600)} }}) {{ nodes {{ id }} }} }}",
    "values": f"{{ pipelines(filter: {{ years: [{many('1', 1970)}] }}) {{ nodes {{ id }} }} }}",
    "unknown members": f"{{ pipelines(filter: {{ tone: [{many('X{n}', 1970)}] }}) {{ nodes {{ id }} }} }}",
    "arguments": f"{{ {many('a{n}: pipelines(filter: {{ years: [1] }}, first: 1) {{ nodes {{ id }} }}', 75)} }}",
    "introspection": get_introspection_query(input_value_deprecation=True),
}
"""Documents that are dear to refuse."""
