"""Texts compare as people see them; where they only look the same, the difference is said."""

import unicodedata

import pytest

from gql_server.carbon.confusables import difference, skeleton
from gql_server.carbon.factors import Factor, FactorIndex
from gql_server.carbon.formats import ENTRY_FORMATS
from gql_server.carbon.readers import EntryReader, ParsedEntry, RowRejected
from gql_server.carbon.texts import clean, column_name

GASES = [
    Factor(1, 70200, 50, {"category": "CO2", "subcategory": "Hélium liquide"}, {"ef_kg_co2eq_per_unit": 1.5}),
    Factor(2, 70200, 50, {"category": "CH4"}, {"ef_kg_co2eq_per_unit": 28.0}),
]


def rejection(category: str, subcategory: str | None = None) -> str:
    cells = {"unit_institutional_id": "10208", "quantity": "1", "category": category}
    cells |= {"subcategory": subcategory} if subcategory else {}
    outcome = EntryReader(ENTRY_FORMATS["process_emissions"], FactorIndex(GASES, ignore_case=True)).read(1, cells)
    assert isinstance(outcome, RowRejected)
    return outcome.reason


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("ignore_case", [True, False])
def test_a_factor_is_found_however_its_accents_are_composed_on_either_side(form, ignore_case: bool) -> None:
    stored = [Factor(1, 70200, 50, {"category": "CO2", "subcategory": unicodedata.normalize(form, "Hélium")}, {})]
    index = FactorIndex(stored, ignore_case=ignore_case)

    for other in ("NFC", "NFD"):
        found = index.match((50,), {"category": "CO2", "subcategory": unicodedata.normalize(other, "Hélium")})
        assert found is stored[0]


def test_an_entry_of_decomposed_text_is_stored_as_its_factor_spells_it() -> None:
    cells = {"unit_institutional_id": "10208", "quantity": "1", "category": "co2"}
    cells["subcategory"] = unicodedata.normalize("NFD", "hélium liquide")
    entry = EntryReader(ENTRY_FORMATS["process_emissions"], FactorIndex(GASES, ignore_case=True)).read(1, cells)

    assert entry == ParsedEntry("10208", 50, {"category": "CO2", "subcategory": "Hélium liquide", "quantity": 1.0})


def test_no_matching_factor_says_where_two_texts_that_look_alike_differ() -> None:
    assert rejection("CО2") == (
        "no matching factor for process_emissions (kind=CО2, subkind=None): “CО2” looks like “CO2”, but "
        "its character 2 is U+041E CYRILLIC CAPITAL LETTER O, not U+004F LATIN CAPITAL LETTER O"
    )
    assert rejection("CO2", "Helium liquide").endswith(
        ": “Helium liquide” looks like “Hélium liquide”, but its character 2 is U+0065 LATIN SMALL LETTER E, "
        "not U+00E9 LATIN SMALL LETTER E WITH ACUTE"
    )
    assert rejection("CO2", "Hélium\u00a0liquide").endswith("character 7 is U+00A0 NO-BREAK SPACE, not U+0020 SPACE")
    assert rejection("CH\u200b4").endswith("character 3 is U+200B ZERO WIDTH SPACE, not U+0034 DIGIT FOUR")


def test_no_matching_factor_of_another_name_says_nothing_more() -> None:
    assert rejection("Xe") == "no matching factor for process_emissions (kind=Xe, subkind=None)"
    assert rejection("CO2", "Néon") == "no matching factor for process_emissions (kind=CO2, subkind=Néon)"


@pytest.mark.parametrize("codec", ["cp1252", "latin-1"])
def test_no_matching_factor_says_that_a_text_was_read_in_a_wrong_encoding(codec: str) -> None:
    assert rejection("CO2", "Hélium liquide".encode().decode(codec)).endswith(
        ": “HÃ©lium liquide” is “Hélium liquide” in a wrong encoding: save the file as “CSV UTF-8”"
    )
    assert rejection("CO2", "Réfrigérants à l’eau".encode().decode("cp1252")).endswith(
        "” is “Réfrigérants à l’eau” in a wrong encoding: save the file as “CSV UTF-8”"
    )
    assert rejection("CO2", "H\ufffdlium").endswith(
        ": “H\ufffdlium” has lost letters in a wrong encoding: save the file as “CSV UTF-8”, from where they are still right"
    )


def test_a_factor_that_was_read_in_a_wrong_encoding_is_named() -> None:
    garbled = Factor(1, 70200, 50, {"category": "CO2", "subcategory": "HÃ©lium"}, {})
    cells = {"unit_institutional_id": "10208", "quantity": "1", "category": "CO2", "subcategory": "Hélium"}
    outcome = EntryReader(ENTRY_FORMATS["process_emissions"], FactorIndex([garbled], ignore_case=True)).read(1, cells)

    assert isinstance(outcome, RowRejected)
    assert outcome.reason.endswith(
        ": “Hélium” is “HÃ©lium” in a wrong encoding: upload the factors again, from a file saved as “CSV UTF-8”"
    )


def test_a_subkind_that_is_blank_although_all_factors_of_the_kind_have_one_is_asked_for() -> None:
    assert rejection("CO2") == (
        "no matching factor for process_emissions (kind=CO2, subkind=None): subcategory is blank, and all factors of its kind "
        "have one"
    )


def test_the_cell_of_a_missing_factor_is_that_of_its_unknown_name() -> None:
    reader = EntryReader(ENTRY_FORMATS["process_emissions"], FactorIndex(GASES, ignore_case=True))
    cells = {"unit_institutional_id": "10208", "quantity": "1"}
    found = [reader.read(1, cells | {"category": kind, "subcategory": "Néon"}) for kind in ("CO2", "Xe")]

    assert [(each.column, each.value) for each in found if isinstance(each, RowRejected)] == [
        ("subcategory", "Néon"),
        ("category", "Xe"),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [("CO₂", "co2"), ("l’eau", "l'eau"), ("5–10", "5-10"), ("ﬁltre", "filtre"), ("Ｃ", "C"), ("a  b", "a b"), ("Łódź", "Lodz")],
)
def test_what_the_eye_hardly_tells_apart_has_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)


def test_a_difference_at_the_end_is_a_missing_character() -> None:
    assert difference("CO2\u00b7", "CO2") == "“CO2·” looks like “CO2”, but its character 4 is U+00B7 MIDDLE DOT, not missing"


@pytest.mark.parametrize("name", ["\ufeff\ufeffUnit  ID", "\u200bunit id", "unit\u200d\u00a0id ", "UNIT\u00ad ID"])
def test_a_column_is_named_by_what_can_be_seen(name: str) -> None:
    assert column_name(name) == "unit id"


def test_a_cell_loses_what_cannot_be_seen_at_its_ends_and_nothing_inside() -> None:
    assert clean("\u200b 10208\u00a0\ufeff") == "10208"
    assert clean("👩\u200d🔬 e\u0301te\u0301") == "👩\u200d🔬 été"
