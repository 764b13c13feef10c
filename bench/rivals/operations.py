"""Operations that every server is asked, in the words of each."""

from collections.abc import Mapping
from typing import Any, NamedTuple

CONSOLE = """query Console($first: Int!, $after: String) {
  pipelines(first: $first, after: $after) {
    edges {
      cursor
      node {
        id status kind jobCount errorCount startedAt finishedAt createdAt message
        jobs(first: 20) { nodes { id jobId kind state result message startedAt finishedAt attempt durationSeconds } }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}"""
OF_UNIT = CONSOLE.replace("$after: String", "$after: String, $filter: PipelineFilter").replace(
    "after: $after", "after: $after, filter: $filter"
)
WIDE = """query Wide($first: Int!) {
  pipelines(first: $first) {
    nodes {
      id
      jobs(first: 20) {
        nodes {
          id jobId kind kindRaw state result message createdAt startedAt finishedAt attempt maxAttempts
          durationSeconds target method
        }
      }
    }
  }
}"""
DEEP = """query Deep($id: ID!) {
  pipeline(by: {id: $id}) {
    id pipelineId isOrphan kind kindRaw status statusRaw statusSource tone isTerminal isAborted hasWarning createdAt startedAt
    finishedAt updatedAt queuedSeconds durationSeconds message lastError jobCount errorCount isResolved feedToken
    scope { level year module { key } dataEntryType { key } }
    triggeredBy { kind displayName }
    progress { phase phaseIndex phaseCount fraction finishedJobs expectedJobs }
    viewerCan { abort { allowed } retry { allowed } }
    jobs(first: 50) {
      nodes {
        id jobId kind kindRaw state result tone target method message createdAt startedAt finishedAt durationSeconds attempt
        maxAttempts retriesLeft nextAttemptAt isCurrent isAborted isStuck lockedAt errorDetail rowErrorCount
      }
    }
  }
}"""
FACETS = "{ pipelines(first: 1) { facets(keys: [STATUS, FAILURE_CLASS, KIND]) { key values { value count { value } } } } }"
VIEWER = "{ viewer { id } }"

POSTGRAPHILE_CURSOR = """query Cursor($first: Int!) {
  allPipelines(first: $first, condition: {provider: ACCRED}, orderBy: [PRIMARY_KEY_DESC]) {
    pageInfo { endCursor }
  }
}"""
POSTGRAPHILE_CONSOLE = """query Console($first: Int!, $after: Cursor) {
  allPipelines(first: $first, after: $after, condition: {provider: ACCRED}, orderBy: [PRIMARY_KEY_DESC]) {
    edges {
      cursor
      node {
        id status kind jobCount errorCount startedAt finishedAt createdAt lastError
        dataIngestionJobsByPipelineId(first: 20) {
          nodes { id rowId jobType state result statusMessage startedAt finishedAt attempts durationSeconds }
        }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}"""
POSTGRAPHILE_WIDE = """query Wide($first: Int!) {
  allPipelines(first: $first, condition: {provider: ACCRED}, orderBy: [PRIMARY_KEY_DESC]) {
    nodes {
      id
      dataIngestionJobsByPipelineId(first: 20) {
        nodes {
          id rowId jobType state result statusMessage createdAt startedAt finishedAt attempts maxAttempts durationSeconds
          targetType ingestionMethod yearValue: year
        }
      }
    }
  }
}"""


class Ask(NamedTuple):
    """A GraphQL request: the document and its variables."""

    query: str
    variables: Mapping[str, Any] = {}


class Operation(NamedTuple):
    """A row of the table, with its aims: ratios to the bare handler, PostGraphile and stock Strawberry where set."""

    name: str
    title: str
    bare: float | None
    postgraphile: float | None
    stock: float | None


OPERATIONS = (
    Operation("console", "console page: 50 pipelines × their jobs × 10 fields", 0.6, 1.5, 9),
    Operation("deep", "one pipeline, every field", 0.5, None, 5),
    Operation("facets", "facets: status, failure class, kind", None, None, None),
    Operation("viewer", "{ viewer { id } }", 0.4, None, 2),
    Operation("wide", "100 pipelines × 20 jobs × 15 fields", 0.6, None, 12),
)
