"""Texts of the console and of the client's components: complete in both languages, and each shown somewhere."""

import json
import re
from pathlib import Path

import pytest
from graphql import GraphQLEnumType, build_schema

ROOT = Path(__file__).parents[2]
PACKAGES = [ROOT / "frontend" / name / "src" for name in ("client", "console")]
OWN = [
    {path.stem: json.loads(path.read_text("utf-8")) for path in (sources / "locales").glob("??.json")} for sources in PACKAGES
]
TEXTS = {language: {**OWN[0].get(language, {}), **OWN[1].get(language, {})} for language in OWN[0] | OWN[1]}


def code_of(sources: Path) -> str:
    files = [path for path in sources.rglob("*.*") if path.suffix in {".ts", ".vue"} and "generated" not in path.parts]
    return "\n".join(path.read_text("utf-8") for path in files)


CODES = [code_of(sources) for sources in PACKAGES]
CODE = "\n".join(CODES)
KEY = re.compile(r"\b((?:pipeops|data_management)_\w+)")
PREFIX = re.compile(r"`((?:pipeops|data_management)_\w*_)\$\{")
ENUMS = {
    "pipeops_state_": "PipelineStatus",
    "pipeops_kind_": "JobKind",
    "pipeops_class_": "FailureClass",
    "pipeops_severity_": "StatusTone",
    "pipeops_actor_": "ActorKind",
    "pipeops_event_": "TimelineKind",
    "pipeops_fresh_": "Freshness",
    "pipeops_lack_": "IncompleteReason",
    "pipeops_meta_": "OmissionReason",
    "pipeops_provenance_": "EdgeProvenance",
}
"""Texts of which there is one for each member of an enum."""


def prefixes() -> set[str]:
    return set(PREFIX.findall(CODE))


def test_the_components_of_the_client_have_all_of_their_texts_with_them_and_no_text_is_there_twice() -> None:
    client, console = (set(texts["en"]) for texts in OWN)
    shown = {key for key in KEY.findall(PREFIX.sub("", CODES[0])) if not key.endswith("_")}

    assert shown - client == set()
    assert client & console == set()


def test_there_are_english_and_french() -> None:
    assert set(TEXTS) == {"en", "fr"}


def test_both_languages_have_the_same_texts_in_the_same_order() -> None:
    assert list(TEXTS["en"]) == list(TEXTS["fr"])


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_text_that_is_shown_is_there(language: str) -> None:
    named = {key for key in KEY.findall(PREFIX.sub("", CODE)) if not key.endswith("_")}

    assert sorted(named - set(TEXTS[language])) == []


def test_every_text_is_shown_somewhere() -> None:
    named = set(KEY.findall(CODE))
    built = tuple(prefixes())

    assert [key for key in TEXTS["en"] if key not in named and not key.startswith(built)] == []


def test_every_prefix_that_the_code_completes_has_texts() -> None:
    assert [prefix for prefix in prefixes() if not any(key.startswith(prefix) for key in TEXTS["en"])] == []


@pytest.mark.parametrize(("prefix", "enum"), ENUMS.items())
def test_every_member_of_an_enum_has_its_text(prefix: str, enum: str) -> None:
    members = build_schema((ROOT / "schema.graphql").read_text("utf-8")).type_map[enum]
    assert isinstance(members, GraphQLEnumType)

    assert [name for name in members.values if f"{prefix}{name}" not in TEXTS["en"]] == []


def test_a_text_takes_the_same_values_in_both_languages() -> None:
    def values(text: str) -> list[set[str]]:
        return [set(re.findall(r"\{(\w+)\}", form)) for form in text.split("|")]

    assert [key for key, text in TEXTS["en"].items() if values(text) != values(TEXTS["fr"][key])] == []


def test_no_text_is_empty() -> None:
    assert [(language, key) for language, texts in TEXTS.items() for key, text in texts.items() if not text.strip()] == []
