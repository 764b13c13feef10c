"""Which job came before which: edges from what the chain recorded, and from the fixed shape where it recorded nothing.

Every edge leads from a lower job id to a higher one, because a job is inserted after those it waits for; so there is no cycle.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from gql_server.db.models import RECALCULATIONS, JobType


class Provenance(StrEnum):
    """How an edge is known."""

    RECORDED = "RECORDED"
    INFERRED = "INFERRED"


class JobFacts(Protocol):
    """What the graph needs to know of a job. `duration_seconds` is null before its first claim."""

    @property
    def job_id(self) -> int: ...
    @property
    def parent_job_id(self) -> int | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def kind_raw(self) -> str | None: ...
    @property
    def state(self) -> str: ...
    @property
    def result(self) -> str | None: ...
    @property
    def module_type_id(self) -> int | None: ...
    @property
    def year(self) -> int | None: ...
    @property
    def duration_seconds(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Edge:
    """One job waits for another; both are job ids."""

    source: int
    target: int
    provenance: Provenance


@dataclass(frozen=True)
class Graph:
    """The jobs of one pipeline, lowest id first, and their edges."""

    nodes: Sequence[JobFacts]
    edges: Sequence[Edge]
    into: dict[int, list[Edge]] = field(default_factory=lambda: defaultdict[int, list[Edge]](list))
    out_of: dict[int, list[Edge]] = field(default_factory=lambda: defaultdict[int, list[Edge]](list))

    @classmethod
    def of(cls, jobs: Iterable[JobFacts]) -> "Graph":
        """The graph of all jobs of one pipeline, in any order."""
        nodes = sorted(jobs, key=lambda job: job.job_id)
        graph = cls(nodes, [edge for index, job in enumerate(nodes) for edge in _edges_into(job, nodes[:index])])
        for edge in graph.edges:
            graph.into[edge.target].append(edge)
            graph.out_of[edge.source].append(edge)
        return graph

    @cached_property
    def critical_path(self) -> list[int]:
        """Ids of the jobs on the path that took longest, from the root on; of equal ones, the path of more jobs."""
        longest: dict[int, tuple[float, int, int]] = {}
        for job in self.nodes:
            before = max((longest[edge.source] for edge in self.into[job.job_id]), default=(0.0, 0, 0))
            longest[job.job_id] = (before[0] + (job.duration_seconds or 0.0), before[1] + 1, -job.job_id)
        if not longest:
            return []
        path = [-max(longest.values())[2]]
        while sources := [edge.source for edge in self.into[path[-1]]]:
            path.append(max(sources, key=lambda id: longest[id]))
        return path[::-1]


def _edges_into(job: JobFacts, earlier: Sequence[JobFacts]) -> list[Edge]:
    """An aggregation waits for every recalculation of its module and year, any other job for its parent or the root."""
    if not earlier:
        return []
    parents = {other.job_id for other in earlier if other.job_id == job.parent_job_id}
    sources = parents | (_recalculated_for(job, earlier) if job.kind_raw == JobType.AGGREGATION else set[int]())
    return [
        Edge(source, job.job_id, Provenance.RECORDED if source in parents else Provenance.INFERRED)
        for source in sorted(sources or {earlier[0].job_id})
    ]


def _recalculated_for(aggregation: JobFacts, earlier: Sequence[JobFacts]) -> set[int]:
    """The recalculations of the same module and year; all there are where the aggregation names none of theirs."""
    recalcs = [job for job in earlier if job.kind_raw in RECALCULATIONS]
    place = (aggregation.module_type_id, aggregation.year)
    same = [job for job in recalcs if (job.module_type_id, job.year) == place]
    return {job.job_id for job in same or recalcs}
