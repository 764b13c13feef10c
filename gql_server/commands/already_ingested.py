"""Refusing a file of a unit whose bytes were read for it, with what can be done instead."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.errors import Conflict, RefusalReason
from gql_server.policy import Viewer
from gql_server.policy.retry import RetryFacts, refuse_retry, resumes
from gql_server.reads.pipelines.capabilities import retry_facts_by_pipeline

ADD = "`addAgain` adds its rows once more"
READS_AGAIN = "reads it again in place of its rows"
RETRY = f"`retryPipeline` of it {READS_AGAIN}"
RESUME = "`retryPipeline` of it does only its failed steps again"
START = f"`startIngestion` with the job that read it as `source` {READS_AGAIN}"
FILE_GONE = "its file is not kept any more, so that rows it left out can only be uploaded alone"


async def already_ingested(
    connection: AsyncConnection, viewer: Viewer, job_types: Collection[str], earlier: UUID, unit: str
) -> Conflict:
    """The refusal, naming the pipeline that brought the file or is about to, and what this viewer can do."""
    facts = (await retry_facts_by_pipeline(connection, viewer, [earlier])).get(earlier)
    done = "has read" if facts is None or facts.has_ended else "reads, or is about to read,"
    ways = ", ".join([*(_ways(viewer, facts, job_types) if facts else ()), ADD])
    message = f"pipeline {earlier} {done} this very file for unit {unit}: {ways}"
    return Conflict(message, reason=RefusalReason.ALREADY_INGESTED, pipelineId=str(earlier))


def _ways(viewer: Viewer, facts: RetryFacts, job_types: Collection[str]) -> Sequence[str]:
    refusal = refuse_retry(viewer, facts, job_types, ())
    if refusal is None and not resumes(facts):
        return (RETRY,)
    if refusal is None:
        return RESUME, START if facts.has_file else FILE_GONE
    return (FILE_GONE,) if refusal.reason == RefusalReason.FILE_GONE else ()
