"""Queries that the console itself sends, as an operator and as a principal of one unit."""

from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

from graphql import OperationDefinitionNode, OperationType, parse, print_ast, separate_operations

from bench.cases import COUNT_LIMIT, LIMIT, Case
from bench.graph import Graph

FOLDER = Path(__file__).parents[1] / "frontend" / "client" / "src" / "operations"
FAILED = {"status": {"in": ["FAILED"]}}
FIRST = """query ($filter: PipelineFilter) {
  pipelines(first: 1, filter: $filter) { nodes { id scope { unit { institutionalId } } jobs(first: 1) { nodes { id } } } }
}"""
FILTERS: dict[str, dict[str, Any]] = {
    "all": {},
    "FAILED": {"filter": FAILED},
    "unresolved": {"filter": {"unresolved": True}},
    "stuck": {"filter": {"isStuck": True}},
}
OF_OPERATORS = ("Fleet", "Locks")
ALONE = ("Failures", "Shell", "SavedViews", "Years")
LISTS = ("Pipelines", "PipelineCounts", "FilterValues", "SavedPipelines")
OF_YEAR = ("YearBoard", "YearSettings")
OF_PIPELINE = ("PipelineJobs", "PipelineGraph", "PipelineTicket", "PipelineTimeline", "PipelineComparison")
OF_JOB = ("JobMeta", "JobRowErrors", "JobErrorDetail")
OTHERS = ("PipelinePage", "Estimates", "RetryCandidates")
FURTHER = ("FurtherJobs",)
"""Asked further down, of what was asked before."""
COUNTING = ("PipelineCounts", "FilterValues", "SavedPipelines", "RetryCandidates", "Failures", "Fleet")
LIMITS: dict[str, int] = {**dict.fromkeys(COUNTING, COUNT_LIMIT), "YearBoard": 75_000}
"""Shared buffers of what counts all that there is, and of what looks at all that runs."""


@cache
def documents(kind: OperationType = OperationType.QUERY) -> dict[str, str]:
    """Documents of the operations of that kind, each with its fragments, by name."""
    text = "\n".join(path.read_text() for path in sorted(FOLDER.glob("*.graphql")))
    return {
        name: print_ast(document)
        for name, document in separate_operations(parse(text)).items()
        if any(isinstance(node, OperationDefinitionNode) and node.operation is kind for node in document.definitions)
    }


async def sent(graph: Graph) -> AsyncIterator[Case]:
    """Questions that pages of the console ask at first: of lists, of the newest years, and of the newest failed pipeline."""
    years = (await graph.ask("{ yearConfigurations { year } }", {}))["yearConfigurations"]
    for unit in (None, await _unit(graph)):
        for name in ALONE if unit else (*ALONE, *OF_OPERATORS):
            yield _case(name, {}, unit)
        for name in LISTS:
            for filtered, variables in FILTERS.items():
                yield _case(name, variables, unit, filtered)
        yield _case("RetryCandidates", FILTERS["unresolved"], unit)
        for year in years[:3]:
            for name in OF_YEAR:
                yield _case(name, year, unit, str(year["year"]))
        for pipeline in await _newest(graph, {"unitInstitutionalId": unit} if unit else FAILED):
            id, jobs = pipeline["id"], pipeline["jobs"]["nodes"]
            yield _case("PipelinePage", {"by": {"id": id}}, unit)
            yield _case("Estimates", {"ids": [id]}, unit)
            for name in OF_PIPELINE:
                yield _case(name, {"id": id}, unit)
            for name in OF_JOB:
                yield _case(name, {"id": jobs[0]["id"]}, unit)


def _case(name: str, variables: dict[str, Any], unit: str | None, told: str = "") -> Case:
    who = f"of unit {unit}" if unit else ""
    return Case(" ".join(filter(None, (name, told, who))), documents()[name], variables, LIMITS.get(name, LIMIT), unit=unit)


async def _unit(graph: Graph) -> str | None:
    """The unit of the newest pipeline that has one."""
    found = await _newest(graph, {"level": ["MODULE_UNIT_SPECIFIC"]})
    return found[0]["scope"]["unit"]["institutionalId"] if found else None


async def _newest(graph: Graph, filter: dict[str, Any]) -> list[Any]:
    return (await graph.ask(FIRST, {"filter": filter}))["pipelines"]["nodes"]
