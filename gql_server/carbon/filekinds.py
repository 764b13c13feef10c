"""Kinds of files that are no tables, told by their first bytes."""

import re
from collections.abc import Mapping

ZIP_MARK = b"PK\x03\x04"
START_BYTES = 1024

_SIGNATURES: Mapping[bytes, str] = {
    b"%PDF-": "a PDF document",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel workbook (.xls), or one with a password",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"Obj\x01": "an Avro file",
    b"SQLite format 3\0": "an SQLite database",
    b"{\\rtf": "an RTF document",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\xfd7zXZ\0": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"PK\x05\x06": "an empty zip archive",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
}
_MARKUP = {
    re.compile(rb"<(!doctype html|html|head|body|table|meta|style|script|div)\b", re.IGNORECASE): "an HTML page",
    re.compile(rb"<\?xml|<!doctype", re.IGNORECASE): "an XML document",
    re.compile(rb'[{\[]\s*["{\[]'): "a JSON document",
    re.compile(rb"BZh[1-9]1AY"): "a bzip2 archive",
}
_IN_ZIP = {
    "word/": "a Word document",
    "ppt/": "a PowerPoint presentation",
    "xl/workbook.bin": "a binary Excel workbook (.xlsb)",
    "Index/": "a Numbers or Pages document",
    "content.xml": "an OpenDocument file (.ods)",
}


def kind_of(start: bytes) -> str | None:
    """Name of the well-known kind of a file that starts like this; None if it may hold CSV."""
    for mark, kind in _SIGNATURES.items():
        if start.startswith(mark):
            return kind
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for pattern, kind in _MARKUP.items() if pattern.match(text)), None)


def kind_of_zip(names: list[str]) -> str:
    """Name of the kind of a zip archive of these members that is no .xlsx workbook."""
    found = (kind for mark, kind in _IN_ZIP.items() if any(name.startswith(mark) for name in names))
    return next(found, "a zip archive")


def not_a_table(kind: str) -> str:
    """Refusal of a file of that kind."""
    return f"the file is {kind}, not a table: save the table as “CSV UTF-8” or as an Excel workbook (.xlsx)"
