"""The graph of a pipeline: a pure function of its jobs, and what a client reads of it."""

import re
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from gql_server.db.models import JobResult, JobState, JobType
from gql_server.graph.nodes import decode, encode
from gql_server.reads.pipelines.graph.graph import Graph, GraphEdge, Provenance
from gql_server.reads.pipelines.graph.mermaid import mermaid
from tests import build
from tests.graph.test_queries import statements
from tests.graphql import Client

RECORDED, INFERRED = Provenance.RECORDED, Provenance.INFERRED


@dataclass(frozen=True)
class Fact:
    job_id: int
    kind_raw: str | None
    parent_job_id: int | None = None
    module_type_id: int | None = 4
    year: int | None = 2025
    duration_seconds: float | None = 1.0
    kind: str = "OTHER"
    state: str = "FINISHED"
    result: str | None = "SUCCESS"
    is_shared: bool = False


kinds = st.sampled_from([*JobType, "role_sync", None])
facts = st.builds(
    Fact,
    job_id=st.integers(1, 12),
    kind_raw=kinds,
    parent_job_id=st.none() | st.integers(1, 12),
    module_type_id=st.none() | st.integers(3, 5),
    duration_seconds=st.none() | st.floats(0, 100),
)
jobs = st.lists(facts, max_size=9, unique_by=lambda fact: fact.job_id)


def edges(*facts: Fact) -> list[tuple[int, int, Provenance]]:
    return [(edge.source, edge.target, edge.provenance) for edge in Graph.of(facts).edges]


def test_a_job_of_another_pipeline_waits_for_the_root_although_it_is_older():
    graph = Graph.of(
        [
            Fact(2, JobType.EMISSION_RECALC, parent_job_id=1, is_shared=True, duration_seconds=9.0),
            Fact(3, JobType.CSV_INGEST),
            Fact(4, JobType.AGGREGATION, parent_job_id=2, is_shared=True),
        ]
    )

    assert [job.job_id for job in graph.nodes] == [3, 2, 4]
    assert [(edge.source, edge.target) for edge in graph.edges] == [(3, 2), (2, 4)]
    assert (graph.critical_path, graph.shared_jobs) == ([3, 2, 4], [2, 4])
    assert mermaid(graph).splitlines()[-2:] == ["  classDef shared stroke-dasharray:4", "  class j2,j4 shared"]


@given(jobs)
def test_every_edge_leads_forward_between_jobs_of_the_pipeline(jobs: list[Fact]):
    ids = {job.job_id for job in jobs}

    for edge in Graph.of(jobs).edges:
        assert edge.source < edge.target
        assert {edge.source, edge.target} <= ids


@given(jobs)
def test_every_job_but_the_root_has_an_edge_into_it(jobs: list[Fact]):
    targets = {edge.target for edge in Graph.of(jobs).edges}

    assert targets == {job.job_id for job in jobs} - {min((job.job_id for job in jobs), default=0)}


@given(jobs)
def test_the_critical_path_is_a_path_from_the_root_and_none_takes_longer(jobs: list[Fact]):
    graph = Graph.of(jobs)
    duration = {job.job_id: job.duration_seconds or 0.0 for job in jobs}
    links = {(edge.source, edge.target) for edge in graph.edges}
    path = graph.critical_path

    assert all(link in links for link in pairwise(path))
    assert path[:1] == [job.job_id for job in graph.nodes[:1]]
    totals = [sum(duration[id] for id in other) for other in _paths(graph)]
    assert abs(sum(duration[id] for id in path) - max(totals, default=0.0)) < 1e-6


def _paths(graph: Graph) -> list[list[int]]:
    """Every path from the root to any job, by brute force."""
    paths = [[job.job_id] for job in graph.nodes[:1]]
    for path in paths:
        paths += [[*path, edge.target] for edge in graph.edges if edge.source == path[-1]]
    return paths


@given(jobs)
def test_the_order_of_the_jobs_does_not_matter(jobs: list[Fact]):
    assert Graph.of(jobs).edges == Graph.of(jobs[::-1]).edges


def test_an_aggregation_waits_for_every_recalculation_although_one_chained_it():
    found = edges(
        Fact(1, JobType.CSV_INGEST),
        Fact(2, JobType.EMISSION_RECALC, parent_job_id=1),
        Fact(3, JobType.EMISSION_RECALC, parent_job_id=1),
        Fact(4, JobType.AGGREGATION, parent_job_id=3),
    )

    assert found == [(1, 2, RECORDED), (1, 3, RECORDED), (2, 4, INFERRED), (3, 4, RECORDED)]


def test_where_nothing_is_recorded_the_fixed_shape_is_inferred():
    found = edges(Fact(1, JobType.CSV_INGEST), Fact(2, JobType.EMISSION_RECALC), Fact(3, JobType.AGGREGATION))

    assert found == [(1, 2, INFERRED), (2, 3, INFERRED)]


def test_an_aggregation_without_recalculations_follows_the_root():
    assert edges(Fact(1, JobType.CSV_INGEST), Fact(2, JobType.AGGREGATION)) == [(1, 2, INFERRED)]


def test_aggregations_of_one_module_and_year_follow_each_other():
    """Three recalculations, then three aggregations, as a chain without merging leaves them."""
    found = edges(
        Fact(1, JobType.CSV_INGEST),
        *(Fact(id, JobType.EMISSION_RECALC, parent_job_id=1) for id in (2, 3, 4)),
        *(Fact(id, JobType.AGGREGATION, parent_job_id=id - 3) for id in (5, 6, 7)),
    )

    assert found[3:] == [
        (2, 5, RECORDED),
        (3, 5, INFERRED),
        (4, 5, INFERRED),
        (3, 6, RECORDED),
        (5, 6, INFERRED),
        (4, 7, RECORDED),
        (6, 7, INFERRED),
    ]


@given(jobs)
def test_there_are_at_most_three_edges_for_each_job(jobs: list[Fact]):
    assert len(Graph.of(jobs).edges) <= 3 * len(jobs)


def test_a_graph_of_thousands_of_jobs_is_drawn_in_one_pass():
    """Counted in edges that are made: what grows with the square of the jobs would make millions."""
    jobs = [Fact(1, JobType.CSV_INGEST)]
    jobs += [Fact(id, JobType.EMISSION_RECALC, parent_job_id=1, module_type_id=id % 5) for id in range(2, 2_502)]
    jobs += [Fact(id, JobType.AGGREGATION, parent_job_id=id - 2_500, module_type_id=id % 5) for id in range(2_502, 5_002)]

    graph = Graph.of(jobs)

    assert len(graph.edges) == 2_500 + 2_500 + 2_500 - 5 + 2_500 - 5
    assert len(graph.critical_path) == 502


def test_the_first_jobs_of_a_graph_are_a_graph_that_says_how_many_it_leaves_out():
    graph = Graph.of([Fact(1, JobType.CSV_INGEST), Fact(2, JobType.EMISSION_RECALC), Fact(3, JobType.AGGREGATION)]).first(2)

    assert ([job.job_id for job in graph.nodes], graph.omitted_jobs) == ([1, 2], 1)
    assert [(edge.source, edge.target) for edge in graph.edges] == [(1, 2)]


def test_aggregations_of_several_modules_wait_for_their_own_recalculations():
    found = edges(
        Fact(1, JobType.FACTOR_INGEST, module_type_id=None),
        Fact(2, JobType.EMISSION_RECALC, parent_job_id=1, module_type_id=4),
        Fact(3, JobType.EMISSION_RECALC, parent_job_id=1, module_type_id=5),
        Fact(4, JobType.AGGREGATION, parent_job_id=2, module_type_id=4),
        Fact(5, JobType.AGGREGATION, parent_job_id=3, module_type_id=5),
    )

    assert found[2:] == [(2, 4, RECORDED), (3, 5, RECORDED)]


def test_a_parent_outside_of_the_pipeline_is_not_in_its_graph():
    assert edges(Fact(7, JobType.CSV_INGEST), Fact(8, JobType.EMISSION_RECALC, parent_job_id=3)) == [(7, 8, INFERRED)]


def test_of_paths_that_took_no_time_the_one_of_more_jobs_is_critical():
    graph = Graph.of(
        [
            Fact(1, JobType.CSV_INGEST, duration_seconds=None),
            Fact(2, JobType.EMISSION_RECALC, duration_seconds=None),
            Fact(3, JobType.AGGREGATION, duration_seconds=None),
        ]
    )

    assert graph.critical_path == [1, 2, 3]


@given(st.text())
def test_no_kind_can_break_the_syntax_of_mermaid(kind: str):
    lines = mermaid(Graph.of([Fact(1, kind), Fact(2, "aggregation", kind="AGGREGATION")])).split("\n")

    assert re.fullmatch(r'  j1\["([A-Za-z0-9_ ]|#\d+;)* #35;1<br/>SUCCESS"\]', lines[1])
    assert lines[2:] == [
        '  j2["AGGREGATION #35;2<br/>SUCCESS"]',
        "  j1 -.-> j2",
        "  classDef critical stroke-width:3px",
        "  class j1,j2 critical",
    ]


def test_a_graph_without_jobs_is_empty():
    assert Graph.of([]).critical_path == []
    assert Graph.of([]).edges == []
    assert mermaid(Graph.of([])) == "flowchart LR\n  classDef critical stroke-width:3px"


def test_edges_are_found_from_either_end():
    graph = Graph.of([Fact(1, JobType.CSV_INGEST), Fact(2, JobType.EMISSION_RECALC)])
    edge = GraphEdge(1, 2, INFERRED)

    assert (graph.out_of[1], graph.into[2], graph.into[1], graph.out_of[2]) == ([edge], [edge], [], [])


GRAPH = """query ($first: Int) { pipelines(first: $first) { nodes {
  graph { nodes { jobId } edges { from to provenance } criticalPath mermaid }
  jobs { nodes { jobId dependsOn { from } dependents { to } } }
} } }"""


async def test_a_client_reads_the_graph_and_each_job_its_edges(engine: AsyncEngine):
    async with engine.begin() as connection:
        pipeline_id = await build.pipeline(connection)
        root = await build.job(connection, pipeline_id, result=JobResult.SUCCESS)
        recalc = await build.job(
            connection, pipeline_id, job_type=JobType.EMISSION_RECALC, parent_job_id=root, result=JobResult.ERROR
        )
        last = await build.job(connection, pipeline_id, job_type=JobType.AGGREGATION, state=JobState.NOT_STARTED)
        await build.settle(connection, pipeline_id)

    (pipeline,) = (await Client(engine).query(GRAPH))["pipelines"]["nodes"]

    ids = {job: encode("Job", job) for job in (root, recalc, last)}
    assert [node["jobId"] for node in pipeline["graph"]["nodes"]] == [root, recalc, last]
    assert pipeline["graph"]["edges"] == [
        {"from": ids[root], "to": ids[recalc], "provenance": "RECORDED"},
        {"from": ids[recalc], "to": ids[last], "provenance": "INFERRED"},
    ]
    assert [decode(id) for id in pipeline["graph"]["criticalPath"]] == [("Job", str(job)) for job in ids]
    assert f'j{recalc}["EMISSION_RECALC #35;{recalc}<br/>ERROR"]' in pipeline["graph"]["mermaid"]
    assert pipeline["jobs"]["nodes"] == [
        {"jobId": root, "dependsOn": [], "dependents": [{"to": ids[recalc]}]},
        {"jobId": recalc, "dependsOn": [{"from": ids[root]}], "dependents": [{"to": ids[last]}]},
        {"jobId": last, "dependsOn": [{"from": ids[recalc]}], "dependents": []},
    ]


async def test_the_graphs_of_a_page_take_one_statement(engine: AsyncEngine):
    async with engine.begin() as connection:
        for index in range(20):
            await build.run(connection, *[JobResult.SUCCESS] * (index % 5 + 1))
        await build.job(connection, result=JobResult.ERROR)

    counts = set[int]()
    for first in (1, 21):
        with statements(engine) as executed:
            nodes = (await Client(engine).query(GRAPH, first=first))["pipelines"]["nodes"]
        assert all(len(node["graph"]["nodes"]) == len(node["jobs"]["nodes"]) for node in nodes)
        counts.add(len(executed))

    assert counts == {4}


async def test_a_graph_shows_as_many_jobs_as_are_asked_for(engine: AsyncEngine):
    async with engine.begin() as connection:
        await build.run(connection, *[JobResult.SUCCESS] * 4)
    query = """query($first: Int) { pipelines { nodes {
      graph(first: $first) { nodes { jobId } edges { from } omittedJobs }
      jobs(first: 1) { nodes { dependents(first: 2) { to } } }
    } } }"""

    (pipeline,) = (await Client(engine).query(query, first=3))["pipelines"]["nodes"]

    graph = pipeline["graph"]
    assert (len(graph["nodes"]), len(graph["edges"]), graph["omittedJobs"]) == (3, 2, 1)
    assert len(pipeline["jobs"]["nodes"][0]["dependents"]) == 2
