"""The order of a pipeline's jobs: edges from what the chain recorded, and from the fixed shape where it recorded nothing.

The root comes first and the others by id, because a job is inserted after those it waits for; every edge leads forward, so
there is no cycle. A job of another pipeline that does work of this one may be older than the root, and waits for it too.
There are at most three edges for each job: a pipeline of thousands is drawn in one pass.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from gql_server.db.models import RECALCULATIONS, JobType

Place = tuple[int | None, int | None]
"""Module and year of a job."""


class Provenance(StrEnum):
    """Source of an edge."""

    RECORDED = "RECORDED"
    INFERRED = "INFERRED"


class GraphJob(Protocol):
    """Fields of a job that the graph reads. `duration_seconds` is null before its first claim; one that `is_shared` is of
    another pipeline."""

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
    @property
    def is_shared(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """One job waits for another; both are job ids."""

    source: int
    target: int
    provenance: Provenance


@dataclass(frozen=True)
class Graph:
    """The jobs that work for one pipeline, the root first, then by id, and their edges; `omitted_jobs` are left out."""

    nodes: Sequence[GraphJob]
    edges: Sequence[GraphEdge]
    omitted_jobs: int = 0
    into: dict[int, list[GraphEdge]] = field(default_factory=lambda: defaultdict[int, list[GraphEdge]](list))
    out_of: dict[int, list[GraphEdge]] = field(default_factory=lambda: defaultdict[int, list[GraphEdge]](list))

    @classmethod
    def of(cls, jobs: Iterable[GraphJob], *, omitted_jobs: int = 0) -> "Graph":
        """The graph of jobs of one pipeline, in any order, of which there are more that are left out."""
        nodes, chain = sorted(jobs, key=lambda job: job.job_id), _Chain()
        root = next((job for job in nodes if not job.is_shared), None)
        nodes = [*([root] if root else []), *(job for job in nodes if job is not root)]
        graph = cls(nodes, [edge for job in nodes for edge in chain.edges_into(job)], omitted_jobs=omitted_jobs)
        for edge in graph.edges:
            graph.into[edge.target].append(edge)
            graph.out_of[edge.source].append(edge)
        return graph

    def first(self, size: int) -> "Graph":
        """The graph of the first so many jobs."""
        if size >= len(self.nodes):
            return self
        return Graph.of(self.nodes[:size], omitted_jobs=self.omitted_jobs + len(self.nodes) - size)

    @property
    def shared_jobs(self) -> list[int]:
        """Ids of the jobs of other pipelines among them."""
        return [job.job_id for job in self.nodes if job.is_shared]

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


class _Chain:
    """The jobs seen so far, lowest id first, and of them the recalculations that no aggregation has waited for yet."""

    def __init__(self) -> None:
        self._root: int | None = None
        self._ids: set[int] = set()
        self._waiting: defaultdict[Place, list[int]] = defaultdict(list)
        self._of_any_place: list[int] = []
        self._last_of_place: dict[Place, int] = {}
        self._last_of_any: int | None = None

    def edges_into(self, job: GraphJob) -> list[GraphEdge]:
        """An aggregation waits for recalculations, any other job for its parent or the root."""
        parents = {job.parent_job_id} if job.parent_job_id in self._ids else set[int]()
        sources = parents | (self._awaited(job) if job.kind_raw == JobType.AGGREGATION else set[int]())
        edges = [] if self._root is None else [
            GraphEdge(source, job.job_id, Provenance.RECORDED if source in parents else Provenance.INFERRED)
            for source in sorted(sources or {self._root})
        ]  # fmt: skip
        self._add(job)
        return edges

    def _add(self, job: GraphJob) -> None:
        self._root = job.job_id if self._root is None else self._root
        self._ids.add(job.job_id)
        if job.kind_raw in RECALCULATIONS:
            place = (job.module_type_id, job.year)
            self._waiting[place].append(job.job_id)
            self._of_any_place.append(job.job_id)

    def _awaited(self, aggregation: GraphJob) -> set[int]:
        """The recalculations of the same module and year since its last aggregation, or that one: they follow each other.

        Where no recalculation is of its module and year, those of all, which only one aggregation waits for.
        """
        place = (aggregation.module_type_id, aggregation.year)
        if place in self._waiting:
            found = set(self._waiting[place]) or {self._last_of_place[place]}
            self._waiting[place].clear()
            self._last_of_place[place] = aggregation.job_id
            return found
        found = set(self._of_any_place) or ({self._last_of_any} if self._last_of_any is not None else set[int]())
        if self._of_any_place:
            self._of_any_place.clear()
            self._last_of_any = aggregation.job_id
        return found
