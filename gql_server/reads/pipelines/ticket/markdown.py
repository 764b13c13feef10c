"""A card in Markdown. Whatever text it quotes is escaped, so that no message can format, link or mention anything."""

import re
from datetime import UTC, datetime, timedelta

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, MODULES
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pipelines.row import PipelineRow

SHOWN = (
    *("key", "pipeline_id", "root_id", "status", "kind", "kind_raw", "job_count", "error_count"),
    *("module_type_id", "data_entry_type_id", "unit_institutional_id", "year", "provider", "actor_name"),
    *("created_at", "started_at", "finished_at", "duration_seconds"),
)
"""Attributes of a pipeline that its card is made of."""
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def markdown(pipeline: PipelineRow, step: JobRow | None, *, who: str | None, unit: str | None) -> str:
    """The card of a pipeline's row, and of the row of the job that failed first; `who` and `unit` if the viewer may know."""
    lines = [
        f"**{pipeline.status}** {escaped(_kind(pipeline))}: {_scope(pipeline, unit)}",
        "",
        f"- Pipeline: `{pipeline.pipeline_id}`" if pipeline.pipeline_id else f"- Job without pipeline: `{pipeline.root_id}`",
        f"- Created: {_instant(pipeline.created_at)}{f' by {escaped(who)}' if who else ''}",
        *([f"- Started: {_instant(pipeline.started_at)}"] if pipeline.started_at else []),
        *([f"- Finished: {_finished(pipeline, at)}"] if (at := pipeline.finished_at) else []),
        f"- Jobs: {pipeline.job_count}, of which {pipeline.error_count} failed",
    ]
    return "\n".join([*lines, *(_failure(step) if step is not None else [])])


def escaped(text: str) -> str:
    """One line of plain text: every ASCII punctuation mark has a backslash, and blanks of any sort are one blank."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def _failure(step: JobRow) -> list[str]:
    entry_type = DATA_ENTRY_TYPES.get(step.data_entry_type_id or 0)
    about = f" of {escaped(entry_type.key)}" if entry_type else ""
    attempt = f"attempt {step.attempt} of {step.max_attempts}"
    said = ["", f"> {escaped(step.message)}"] if step.message and step.message.strip() else []
    return [f"- Failed step: {escaped(_kind(step))}{about}, job `{step.job_id}`, {attempt}", *said]


def _kind(row: PipelineRow | JobRow) -> str:
    return (row.kind_raw or row.kind) if row.kind == "OTHER" else row.kind


def _scope(pipeline: PipelineRow, unit: str | None) -> str:
    module, entry_type = MODULES.get(pipeline.module_type_id or 0), DATA_ENTRY_TYPES.get(pipeline.data_entry_type_id or 0)
    parts = (
        module and module.key,
        entry_type and entry_type.key,
        unit and f"unit {unit}",
        pipeline.year and str(pipeline.year),
        pipeline.provider,
    )
    return ", ".join(escaped(part) for part in parts if part)


def _finished(pipeline: PipelineRow, at: datetime) -> str:
    return f"{_instant(at)}, after {timedelta(seconds=round(pipeline.duration_seconds or 0))}"


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
