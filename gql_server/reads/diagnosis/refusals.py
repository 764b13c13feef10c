"""Advice on input that was refused: a file whose header, kind or parameters are wrong."""

import re

from gql_server.db.models import FILE_JOBS
from gql_server.reads.diagnosis.advice import Advice, cut
from gql_server.reads.diagnosis.facts import DiagnosedJob
from gql_server.reads.diagnosis.reasons import Action, Code

_MISSING_COLUMNS = re.compile(
    r"\bmissing (?:required )?columns?:? (?P<names>.+?)(?: — (?P<hint>.+))?\Z", re.IGNORECASE | re.DOTALL
)
_MISSPELT_COLUMNS = re.compile(r"\Ano columns? (?P<names>.+?) — (?P<hint>.+): correct the name, or leave it out\Z", re.DOTALL)
_OTHER_KIND = re.compile(r"\Athis looks like (?P<kind>.+): upload it with (?P<parameters>.+)\Z")
_PARAMETER = re.compile(r"\bsay which with (?P<name>\w+)")


def refused(job: DiagnosedJob) -> Advice:
    """Advice on input that was refused, by what the message names."""
    if job.job_type not in FILE_JOBS:
        remedy = "Correct what the message names, where the data comes from."
        return Advice(Code.INPUT_REFUSED, f"It could not use its input: {cut(job.message)}", remedy, retries=True)
    if missing := _MISSING_COLUMNS.search(job.message or ""):
        names = cut(missing["names"].rstrip(" ."))
        hint = missing["hint"]
        message = f"The file has no column {names}: {cut(hint)}." if hint else f"The file has no column {names}."
        remedy = f"Add {names} to the header of the file, with the values, and upload it again."
        if hint:
            remedy = f"Correct the name in the header of the file, or add {names}, with the values, and upload it again."
        return Advice(Code.MISSING_COLUMN, message, remedy, Action.UPLOAD_FILE)
    if misspelt := _MISSPELT_COLUMNS.search(job.message or ""):
        message = f"The file has no column {cut(misspelt['names'])}: {cut(misspelt['hint'])}."
        remedy = "Correct the name in the header of the file, or leave that column out, and upload it again."
        return Advice(Code.MISSING_COLUMN, message, remedy, Action.UPLOAD_FILE)
    if other := _OTHER_KIND.search(job.message or ""):
        remedy = f"Upload the same file again, with {other['parameters']}: nothing in it is to be corrected."
        return Advice(Code.INPUT_REFUSED, f"The file looks like {other['kind']}.", remedy, Action.UPLOAD_FILE)
    if parameter := _PARAMETER.search(job.message or ""):
        remedy = f"Upload the same file again, with the parameter `{parameter['name']}`: nothing in it is to be corrected."
        return Advice(
            Code.INPUT_REFUSED, f"The file can be read in several ways: {cut(job.message)}", remedy, Action.UPLOAD_FILE
        )
    remedy = "Correct the file as the message says, and upload it again: a retry would read the same file."
    return Advice(Code.INPUT_REFUSED, f"The file was refused: {cut(job.message)}", remedy, Action.UPLOAD_FILE)
