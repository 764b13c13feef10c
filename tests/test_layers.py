"""Layers, as far as `lint-imports` cannot say it: modules of one do not import each other in a circle."""

from graphlib import TopologicalSorter

import grimp

TYPES_OF_THE_GRAPH = {
    f"gql_server.graph.{name}"
    for name in (
        "diagnosis",
        "failures.types",
        "fleet.workers",
        "jobs.list",
        "jobs.types",
        "pipelines.comparison",
        "pipelines.graph",
        "pipelines.runs",
        "pipelines.timeline",
        "pipelines.types",
    )
}
"""A pipeline has jobs, and a job has a pipeline: these name each other, as the graph that they are."""


def test_no_modules_import_each_other_in_a_circle_but_types_of_the_graph() -> None:
    imports = grimp.build_graph("gql_server", cache_dir=None)
    order = TopologicalSorter[str]()
    for module in imports.modules:
        for imported in imports.find_modules_directly_imported_by(module):
            if (importer := _node(module)) != (other := _node(imported)):
                order.add(importer, other)

    order.prepare()  # raises CycleError, which names the circle


def test_types_that_name_each_other_are_modules() -> None:
    assert grimp.build_graph("gql_server", cache_dir=None).modules >= TYPES_OF_THE_GRAPH


def _node(module: str) -> str:
    return "types of the graph" if module in TYPES_OF_THE_GRAPH else module
