"""Text as people send it: composed as NFC, without what cannot be seen at its ends."""

import unicodedata

INVISIBLE = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060\u00ad\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Byte order mark, zero-width characters, soft hyphen, marks of direction."""

_EDGES = "".join(filter(str.isspace, map(chr, range(0x3001)))) + INVISIBLE
_NOTHING = dict.fromkeys(map(ord, INVISIBLE))


def clean(text: str) -> str:
    """The text in NFC, without white space and invisible characters at its ends."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text.strip(_EDGES))


def column_name(text: str) -> str:
    """A column's name as columns are compared: in lower case, without invisible characters, with single spaces."""
    return " ".join(clean(text.translate(_NOTHING)).lower().split())
