"""Queries of the console on the pipeline list: every clause with frequent, rare and absent values, pairs, orders, counts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from bench.graph import Graph
from gql_server.graph.nodes import encode

FIRST = 50
ASKED = "$filter: PipelineFilter"
NODES = "nodes { id } pageInfo { endCursor hasNextPage }"
LIMIT, FIRST_LIMIT, COUNT_LIMIT = 50_000, 1_200, 250_000
"""Shared buffers of any page, of one without filter and of its 1,000th, and of counts, which look at all that matches; all of
them for 200,000 pipelines."""
LIMITS = {"hasErrors + failureClass rare": 120_000}
"""Of what finds nothing: each job of the class is looked at, and its pipeline."""
SPRING = {"from": "2022-03-01T00:00:00Z", "to": "2022-04-01T00:00:00Z"}
FUTURE = {"from": "2090-01-01T00:00:00Z"}

CLAUSES: Mapping[str, Mapping[str, Any]] = {
    "status": {
        "most": {"in": ["SUCCESS"]},
        "FAILED": {"in": ["FAILED"]},
        "PARTIAL": {"in": ["PARTIAL"]},
        "NOT_STARTED": {"in": ["NOT_STARTED"]},
        "two": {"in": ["FAILED", "PARTIAL"]},
        "not": {"notIn": ["SUCCESS"]},
        "none": {"in": ["UNKNOWN"]},
    },
    "kind": {
        "most": {"in": ["CSV_INGEST"]},
        "rare": {"in": ["UNIT_SYNC"]},
        "not": {"notIn": ["CSV_INGEST"]},
        "none": {"in": ["ROLE_SYNC"]},
    },
    "moduleTypeIds": {"most": [5], "rare": [8], "two": [1, 8], "none": [99]},
    "dataEntryTypeIds": {"most": [60], "rare": [50], "none": [999]},
    "years": {"newest": [2026], "oldest": [2022], "two": [2022, 2023], "none": [1999]},
    "level": {"most": ["MODULE_PER_YEAR"], "rare": ["GLOBAL_PER_YEAR"], "none": ["UNKNOWN"]},
    "unitInstitutionalId": {"one": "10208", "none": "0"},
    "createdAt": {"old": SPRING, "none": FUTURE},
    "startedAt": {"old": SPRING, "none": FUTURE},
    "finishedAt": {"old": SPRING, "none": FUTURE},
    "durationSeconds": {"long": {"min": 600}, "short": {"max": 1}, "none": {"min": 1e6}},
    "hasErrors": {"yes": True, "no": False},
    "isOrphan": {"yes": True, "no": False},
    "isActive": {"yes": True, "no": False},
    "isAborted": {"yes": True, "no": False},
    "isStuck": {"yes": True, "no": False},
    "tone": {"most": ["SUCCESS"], "WARNING": ["WARNING"], "two": ["DANGER", "WARNING"], "rare": ["NEUTRAL"]},
    "unresolved": {"yes": True, "no": False},
    "failureClass": {"most": ["ALL_ROWS_REJECTED"], "rare": ["TIMEOUT"], "two": ["DEADLOCK", "ABORTED"]},
    "triggeredByMe": {"yes": True, "no": False},
    "workerId": {"one": encode("Worker", "worker-1"), "none": encode("Worker", "nobody")},
    "search": {"most": "success", "some": "100%", "rare": "réfrigérant", "none": "zqzqzq"},
}
PAIRED: Mapping[str, tuple[Any, Any]] = {
    "status": ({"in": ["FAILED"]}, {"in": ["NOT_STARTED"]}),
    "kind": ({"in": ["CSV_INGEST"]}, {"in": ["UNIT_SYNC"]}),
    "moduleTypeIds": ([5], [8]),
    "years": ([2026], [2022]),
    "search": ("success", "réfrigérant"),
    "hasErrors": (True, False),
    "isActive": (False, True),
    "failureClass": (["ALL_ROWS_REJECTED"], ["TIMEOUT"]),
    "unresolved": (True, False),
    "triggeredByMe": (True, False),
}
"""A frequent and a rare value of what the console combines."""


@dataclass(frozen=True, slots=True)
class Case:
    """One operation, and how many shared buffers its statements may touch."""

    name: str
    query: str
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    limit: int = LIMIT
    subject: str = "user-1"
    unit: str | None = None
    """Asked by a principal of that unit."""


def page(name: str, **variables: Any) -> Case:
    """A first page."""
    limit = LIMITS.get(name, LIMIT if "filter" in variables else FIRST_LIMIT)
    return Case(name, f"query ({ASKED}, $after: String) {{ {_pipelines(NODES, ', after: $after')} }}", variables, limit)


def cases(graph: Graph) -> Iterator[Case]:
    """All that this version of the graph can be asked, the plain first page first."""
    yield page("first page")
    yield from _singles(graph)
    yield from _pairs(graph)
    yield from _orders(graph)
    yield from _counts(graph)


def _singles(graph: Graph) -> Iterator[Case]:
    known = graph.members("PipelineFilter")
    for clause, values in CLAUSES.items():
        if clause in known:
            for name, value in values.items():
                yield page(f"{clause} {name}", filter={clause: value})
    if "triggeredByMe" in known:
        mine = page("triggeredByMe none", filter={"triggeredByMe": True})
        yield Case(mine.name, mine.query, mine.variables, subject="nobody")


def _pairs(graph: Graph) -> Iterator[Case]:
    known = graph.members("PipelineFilter")
    for one, other in combinations([clause for clause in PAIRED if clause in known], 2):
        for name, place in (("frequent", 0), ("rare", 1)):
            yield page(f"{one} + {other} {name}", filter={one: PAIRED[one][place], other: PAIRED[other][place]})


def _orders(graph: Graph) -> Iterator[Case]:
    if not graph.has_argument("orderBy"):
        return
    query = f"query ({ASKED}, $order: PipelineOrder) {{ {_pipelines(NODES, ', orderBy: $order')} }}"
    for by in sorted(graph.members("PipelineOrderField")):
        for direction in ("ASC", "DESC"):
            yield Case(f"by {by} {direction}", query, {"order": {"field": by, "direction": direction}})


def _counts(graph: Graph) -> Iterator[Case]:
    filters: dict[str, Any] = {"all": None, "FAILED": {"status": {"in": ["FAILED"]}}, "years 2022": {"years": [2022]}}
    if "search" in graph.members("PipelineFilter"):
        filters["search none"] = {"search": "zqzqzq"}
    fields = graph.fields("PipelineConnection")
    if "totalCount" in fields:
        for name, filter in filters.items():
            counted = _pipelines("totalCount { value precision }")
            yield Case(f"total, {name}", f"query ({ASKED}) {{ {counted} }}", {"filter": filter}, COUNT_LIMIT)
    if "facets" in fields:
        every = ", ".join(sorted(graph.members("PipelineFacetKey")))
        for name, filter in filters.items():
            for strip, keys in (("strip", "STATUS, KIND, FAILURE_CLASS"), ("facets", every)):
                counted = _pipelines(f"facets(keys: [{keys}]) {{ key values {{ value count {{ value precision }} }} }}")
                yield Case(f"{strip}, {name}", f"query ({ASKED}) {{ {counted} }}", {"filter": filter}, COUNT_LIMIT)


def _pipelines(selection: str, arguments: str = "") -> str:
    return f"pipelines(first: {FIRST}, filter: $filter{arguments}) {{ {selection} }}"
