"""Texts that look alike and are not: where they differ, in words."""

import unicodedata
from itertools import zip_longest

from gql_server.carbon.texts import INVISIBLE

# What NFKD does not bring together: letters of other alphabets, and marks that word processors put for those of the keyboard.
_TWINS = str.maketrans(
    "АВЕЅІЈКМНОРСТУХавеѕіјкмнорстухΑΒΕΖΗΙΚΜΝΟΡΤΥΧοινØøıŁłÆæ‘’‚‛`´ʼ“”„«»×⁄∕",
    "ABESIJKMHOPCTYXabesijkmhopctyxABEZHIKMNOPTYXoivOoiLlEe'''''''\"\"\"\"\"x//",
)
_LEFT_OUT = ("Mn", "Cf")
LOST = "\ufffd"
"""Stands where a letter could not be read."""
SHOWN_LENGTH = 60
SAVED_OTHERWISE = "save the file as “CSV UTF-8”"


def skeleton(text: str) -> str:
    """The text as the eye sees it at a glance: without case, accents and invisible characters, with plain letters, dashes and
    spaces."""
    letters = unicodedata.normalize("NFKD", (decoded_again(text) or text).translate(_TWINS)).casefold()
    shown = (("-" if unicodedata.category(letter) == "Pd" else letter) for letter in letters if not _is_left_out(letter))
    return " ".join("".join(shown).split())


def difference(sent: str, known: str) -> str:
    """The text that was sent looks like a known one: that one was read in a wrong encoding, or where they differ first."""
    if decoded_again(sent) is not None:
        return f"“{sent}” is “{known}” in a wrong encoding: {SAVED_OTHERWISE}"
    if decoded_again(known) is not None:
        return f"“{sent}” is “{known}” in a wrong encoding: upload the factors again, from a file saved as “CSV UTF-8”"
    pairs = zip_longest(sent.lower(), known.lower())
    at = next((at for at, (one, other) in enumerate(pairs) if one != other), 0)
    one, other = _named(sent[at : at + 1]), _named(known[at : at + 1])
    return f"“{sent}” looks like “{known}”, but its character {at + 1} is {one}, not {other}"


def garbled(text: str) -> str | None:
    """Says that letters of the text were lost in a wrong encoding, if they seem to be."""
    shown, meant = text[:SHOWN_LENGTH], decoded_again(text)
    if LOST in text:
        return f"“{shown}” has lost letters in a wrong encoding: {SAVED_OTHERWISE}, from where they are still right"
    return None if meant is None else f"“{shown}” is “{meant[:SHOWN_LENGTH]}” in a wrong encoding: {SAVED_OTHERWISE}"


def decoded_again(text: str) -> str | None:
    """The text that UTF-8 was, which somebody has read as Windows-1252 or Latin-1; None for any other text."""
    if text.isascii():
        return None
    try:
        again = b"".join(map(_byte, text)).decode()
    except UnicodeError:
        return None
    return unicodedata.normalize("NFC", again)


def _byte(letter: str) -> bytes:
    """The byte that is read as the letter. Raises UnicodeEncodeError for a letter that no byte is."""
    return letter.encode("latin-1" if letter < "\u0100" else "cp1252")


def _is_left_out(letter: str) -> bool:
    return letter in INVISIBLE or unicodedata.category(letter) in _LEFT_OUT


def _named(letter: str) -> str:
    return f"U+{ord(letter):04X} {unicodedata.name(letter, '')}".strip() if letter else "missing"
