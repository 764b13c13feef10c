"""Takes out of an error's text what differs from run to run."""

import re
from functools import lru_cache

TEXT_LENGTH = 1000
CAUSE_LENGTH = 300
CACHED = 1024
_READ = 20_000

# Most specific first. Names of the schema, and what our own remedies quote, are kept: they are nobody's data.
_TOKENS = {
    "keep": r'\b(?:constraint|relation|table|column|index|function|schema|type|sequence) "[^"]*"|\bCO2\b|\bUTF-\d+\b'
    r"|\bdecimal=(?:point|comma)\b"
    r"""|[“"«'`](?:CSV|Excel|ODS|XLSX?|(?:CSV )?UTF-\d+)[”"»'`]""",
    "url": r"\b[A-Za-z][\w+.-]{0,20}://\S+",
    "email": r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*",
    "uuid": r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b",
    "time": r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?\b",
    "value": r"""(?<==)\([^)]*\)|(?<=contains )\(.*|(?<=\w=)[^\s,;()][^,;)]*"""
    r"""|"[^"]*(?:"|$)|“[^”]*(?:”|$)|«[^»]*(?:»|$)|`[^`]*(?:`|$)|(?<!\w)'.*?(?:'(?!\w)|$)""",
    "file": r"(?<![\w/\\])(?:[A-Za-z]:)?(?:[/\\][\w.~-]+){2,}"
    r"|\b[\w~-][\w.~-]*\.(?:csv|tsv|xlsx?|ods|json|parquet|txt|zip|gz|tmp|pdf|py)\b",
    "hex": r"\b0x[0-9A-Fa-f]+\b|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}\b",
    "n": r"(?:(?<!\w)[-+])?\d+(?:[.,:'’]\d+)*",
}
_TOKEN = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _TOKENS.items()))

_WRAPPER = re.compile(r"\A(?:\((?:\w+\.)+\w+\) |<class '[\w.]+'>: |(?:\w+\.)*[A-Z]\w*(?:Error|Exception)(?: \(\w+\))?: )")
_POSTSCRIPT = re.compile(
    r" ?(?:\b(?:DETAIL|HINT|CONTEXT|STATEMENT|QUERY|WHERE): |\[SQL: |\[parameters: |\(Background on this error at: ).*"
)
_RAISED = re.compile(r"\A.* (?=(?:\w+\.)*[A-Z]\w*(?:Error|Exception|Violation|Detected|Transaction|Timeout|Interrupt): )")


@lru_cache(CACHED)
def cause_of(text: str | None) -> str:
    """The error's first sentence in the shape that all failures of the same cause share, at most 300 characters.

    Numbers, ids, times, addresses, file names and quoted values become placeholders; statements, parameters, details and
    stack frames are left out. Never raises.
    """
    words = " ".join(_ends_of(text or "").split())
    if "Traceback (most recent call last)" in words:
        words = _RAISED.sub("", words, count=1)
    while (unwrapped := _WRAPPER.sub("", words)) != words:
        words = unwrapped
    words = _POSTSCRIPT.sub("", words, count=1)[:TEXT_LENGTH]
    return _TOKEN.sub(_placeholder, words)[:CAUSE_LENGTH].strip()


def _ends_of(text: str) -> str:
    return text if len(text) <= 2 * _READ else f"{text[:_READ]} {text[-_READ:]}"


def _placeholder(match: re.Match[str]) -> str:
    return match.group() if match.lastgroup == "keep" else f"<{match.lastgroup}>"
