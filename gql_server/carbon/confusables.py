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
    """What the eye sees at a glance: without case, accents and invisible characters, with plain letters, dashes and spaces."""
    letters = unicodedata.normalize("NFKD", text.translate(_TWINS)).casefold()
    shown = (("-" if unicodedata.category(letter) == "Pd" else letter) for letter in letters if not _is_left_out(letter))
    return " ".join("".join(shown).split())


def difference(sent: str, known: str) -> str:
    """Where two texts that look alike differ first."""
    pairs = zip_longest(sent.lower(), known.lower())
    at = next((at for at, (one, other) in enumerate(pairs) if one != other), 0)
    return f"“{sent}” is not “{known}”: character {at + 1} is {_named(sent[at : at + 1])}, not {_named(known[at : at + 1])}"


def _is_left_out(letter: str) -> bool:
    return letter in INVISIBLE or unicodedata.category(letter) in _LEFT_OUT


def _named(letter: str) -> str:
    return f"U+{ord(letter):04X} {unicodedata.name(letter, '')}".strip() if letter else "missing"
