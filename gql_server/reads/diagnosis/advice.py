"""Advice on a failure, in words that are the same for all of a kind."""

import re
from dataclasses import dataclass

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, MODULES
from gql_server.reads.diagnosis.facts import DiagnosedJob
from gql_server.reads.diagnosis.reasons import Action, Code, Severity

MESSAGE_LENGTH = 200
_VERDICT = re.compile(r"\A(?:ERROR|WARNING): ")


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice on a failure. Its remedy comes before a retry, if one `retries`; `action` is one that is not a retry."""

    code: Code
    message: str
    remedy: str = ""
    action: Action | None = None
    retries: bool = False
    severity: Severity = Severity.DANGER


def place(job: DiagnosedJob) -> str:
    """Place of the factors that are meant: an entry type's, or all of a module's, in a year."""
    entry_type, module = DATA_ENTRY_TYPES.get(job.data_entry_type_id or 0), MODULES.get(job.module_type_id or 0)
    name = f"`{entry_type.key}`" if entry_type else f"the module `{module.key}`" if module else "its module"
    return f"{name} for {job.year}" if job.year is not None else name


def cut(message: str | None) -> str:
    """The message on one line, without its verdict, and shortened."""
    text = _VERDICT.sub("", " ".join((message or "").split())) or "nothing is known of why."
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"
