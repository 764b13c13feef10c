"""A graph as Mermaid text: kinds and states, no messages."""

import re

from gql_server.reads.pipelines.graph.graph import Graph, GraphJob, Provenance

ARROWS = {Provenance.RECORDED: "-->", Provenance.INFERRED: "-.->"}


def mermaid(graph: Graph) -> str:
    """A flowchart; inferred edges are dotted, the critical path has the class `critical`, and jobs of
    other pipelines the class `shared`."""
    nodes = [f'  j{job.job_id}["{_label(job)}"]' for job in graph.nodes]
    edges = [f"  j{edge.source} {ARROWS[edge.provenance]} j{edge.target}" for edge in graph.edges]
    critical = [f"  class {','.join(f'j{id}' for id in graph.critical_path)} critical"] if graph.nodes else []
    shared = ",".join(f"j{id}" for id in graph.shared_jobs)
    marked = ["  classDef shared stroke-dasharray:4", f"  class {shared} shared"] if shared else []
    return "\n".join(["flowchart LR", *nodes, *edges, "  classDef critical stroke-width:3px", *critical, *marked])


def _label(job: GraphJob) -> str:
    kind = (job.kind_raw or job.kind) if job.kind == "OTHER" else job.kind
    return f"{escaped(kind)} #35;{job.job_id}<br/>{escaped(job.result or job.state)}"


def escaped(text: str) -> str:
    """The text with everything but plain letters, digits, blanks and underscores as entities, so that no text can end its
    label."""
    return re.sub(r"[^A-Za-z0-9_ ]", lambda found: f"#{ord(found.group())};", text)
