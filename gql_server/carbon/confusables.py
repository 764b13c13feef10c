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


def skeleton(text: str) -> str:
    """The text as the eye sees it at a glance: without case, accents and invisible characters, with plain letters, dashes and
    spaces."""
    letters = unicodedata.normalize("NFKD", text.translate(_TWINS)).casefold()
    shown = (("-" if unicodedata.category(letter) == "Pd" else letter) for letter in letters if not _is_left_out(letter))
    return " ".join("".join(shown).split())


def difference(sent: str, known: str) -> str:
    """The text that was sent looks like a known one: where they differ first."""
    pairs = zip_longest(sent.lower(), known.lower())
    at = next((at for at, (one, other) in enumerate(pairs) if one != other), 0)
    one, other = _named(sent[at : at + 1]), _named(known[at : at + 1])
    return f"“{sent}” looks like “{known}”, but its character {at + 1} is {one}, not {other}"


def _is_left_out(letter: str) -> bool:
    return letter in INVISIBLE or unicodedata.category(letter) in _LEFT_OUT


def _named(letter: str) -> str:
    return f"U+{ord(letter):04X} {unicodedata.name(letter, '')}".strip() if letter else "missing"
