"""Finds the encoding of a text file where only one is possible.

Libraries that detect encodings rank guesses: charset-normalizer reads “à vérifier” in Windows-1252 as “ŕ vérifier”. Here a file
whose words can be read in two ways is refused.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from gql_server.carbon.refusals import FileRefused

CHUNK_BYTES = 1024 * 1024
WORD_BYTES_MAX = 200
WORDS_MAX = 100_000
WINDOWS = "cp1252"
WESTERN: Mapping[str, str] = {WINDOWS: "Windows-1252", "mac_roman": "Mac Roman", "cp850": "MS-DOS (850)"}
"""Encodings in which spreadsheet programs of western Europe save “CSV”, by the names of Python. Only the first is ever taken,
where no other is possible."""
SAVE_AS = "save it as “CSV UTF-8”"

_WORD = re.compile(rb"[0-9A-Za-z'\x80-\xff-]+")
_MULTIBYTE = re.compile(rb"[\xc2-\xf4][\x80-\xbf]")
_REMAINS_OF_UTF8 = re.compile(rb"[\xc2\xc3\xc5][\x80-\xbf]")
_SMALL = "àâäáåæçéèêëîïìíñôöòóœùûüúÿß"
_LETTERS = frozenset(_SMALL + _SMALL.replace("ß", "").upper())
_SIGNS = frozenset("«»‘’“”–—…·•€£§°ºª²³µ×±½¼¾‰©®™\u00a0\u202f")
_PARTS = re.compile("['‘’\u00a0\u202f-]")
_SIGN_INSIDE = re.compile(r"[^\W\d_](?:[^\w\s]|[²³¼½¾ºª])[^\W\d_]")
_SIGN_BESIDE = re.compile(r"[^\W\d_\x00-\x7f][°ºª²³µ×±½¼¾‰©®™]|[°ºª²³µ×±½¼¾‰©®™][^\W\d_\x00-\x7f]|[£€§][^\W\d_]|[^\W\d_][£€§]")
_FRACTION_OR_POWER = re.compile(r"[½¼¾²³][^\W\d_]|[^\W\d_][½¼¾]|[^\W\d_m][²³]")
_LETTER_INSIDE = re.compile(r"\d[^\W\d_]\d")
_SIGNS_OUT_OF_PLACE = (_SIGN_INSIDE, _SIGN_BESIDE, _FRACTION_OR_POWER, _LETTER_INSIDE)
_TOGETHER = re.compile(r"[^\W\d_\x00-\x7f]{2}")
_PAIRS = frozenset(("éé", "ÉÉ", "äß", "öß", "üß", "éè", "éî", "éï", "éô", "ïé", "üé", "ëé"))


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec of Python, the name that people know it by, and how it was told; neither of the latter for UTF-8."""

    codec: str = "utf-8-sig"
    name: str | None = None
    told_by: str | None = None

    @property
    def reading(self) -> dict[str, str]:
        """Notes on what had to be inferred."""
        return {"encoding": self.name, "encoding_from": self.told_by} if self.name and self.told_by else {}


def encoding_of(path: Path) -> Encoding:
    """The only encoding that the file can be in. Raises FileRefused where there are several, or none."""
    with path.open("rb") as file:
        start = file.read(1024)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Encoding("utf-16", "UTF-16", "byte order mark")
    if b"\0" in start[:2]:
        return _unmarked_utf16(start)
    return Encoding() if _is_utf8(path) else _western(path)


def _unmarked_utf16(start: bytes) -> Encoding:
    """Every second byte of a header in ASCII is zero: the order of the bytes is certain."""
    header = start[: len(start) // 2 * 2][:64]
    for codec, zeros, texts in (("utf-16-le", header[1::2], header[::2]), ("utf-16-be", header[::2], header[1::2])):
        if not any(zeros) and all(texts):
            return Encoding(codec, "UTF-16", "zero bytes")
    raise FileRefused(f"the file contains NUL bytes and is not UTF-16 text: {SAVE_AS}")


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _western(path: Path) -> Encoding:
    possible = list(WESTERN)
    told = b""
    for word in _words(path):
        left = [codec for codec in possible if _is_likely(word, codec)]
        if WINDOWS not in left:
            raise FileRefused(_no_reading(word))
        told, possible = (word if left != possible else told), left
    if len(possible) > 1 and (readings := _readings(path, possible)):
        raise FileRefused(f"the file is not UTF-8 text; it has {readings}: {SAVE_AS}")
    return Encoding(WINDOWS, WESTERN[WINDOWS], f"“{_text(told, WINDOWS)}”")


def _no_reading(word: bytes) -> str:
    if _MULTIBYTE.search(word):
        return f"the file is not UTF-8 text, though parts of it are, and may be damaged: {SAVE_AS}"
    return f"the file is not UTF-8 text, nor in an encoding that can be told: {SAVE_AS}"


def _readings(path: Path, possible: list[str]) -> str | None:
    """The first word that is not the same in each of these."""
    differ = (word for word in _words(path) if len({word.decode(codec) for codec in possible}) > 1)
    word = next(differ, None)
    return " or ".join(f"“{_text(word, codec)}” in {WESTERN[codec]}" for codec in possible) if word else None


def _words(path: Path) -> Iterator[bytes]:
    """Words with bytes beyond ASCII, each once, as long as these are not too many to remember."""
    seen: set[bytes] = set()
    rest = b""
    for chunk in _chunks(path):
        text = rest + chunk
        end = max(text.rfind(b"\n"), text.rfind(b"\r"), len(text) - CHUNK_BYTES // 2)
        rest = text[end:]
        yield from _new_words(text[:end], seen)
    yield from _new_words(rest, seen)


def _new_words(text: bytes, seen: set[bytes]) -> Iterator[bytes]:
    for word in map(re.Match[bytes].group, _WORD.finditer(text)):
        if word.isascii() or word in seen:
            continue
        if len(word) <= WORD_BYTES_MAX and len(seen) < WORDS_MAX:
            seen.add(word)
        yield word


def _is_likely(word: bytes, codec: str) -> bool:
    """True if people of western Europe write words like this. What could be one is: then nothing is decided."""
    try:
        text = word.decode(codec)
    except UnicodeDecodeError:
        return False
    known = all(letter.isascii() or letter in _LETTERS or letter in _SIGNS for letter in text)
    return known and not (codec == WINDOWS and _REMAINS_OF_UTF8.search(word)) and all(map(_is_word, _PARTS.split(text)))


def _is_word(part: str) -> bool:
    """No large letter behind a small one or within a word, no sign among letters, no letter between digits, no letters beside
    each other that are not in the languages of the region."""
    pairs, threes = pairwise(part), zip(part, part[1:], part[2:], strict=False)
    grows = any(one.islower() and other.isupper() and not (one + other).isascii() for one, other in pairs)
    within = any(one.isalpha() and other.isupper() and not other.isascii() and third.islower() for one, other, third in threes)
    together = any(pair not in _PAIRS for pair in _TOGETHER.findall(part))
    return not (grows or within or together or any(sign.search(part) for sign in _SIGNS_OUT_OF_PLACE))


def _text(word: bytes, codec: str) -> str:
    return word.decode(codec)[:60]


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
