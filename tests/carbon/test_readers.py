"""Rows of uploads as entries, factors and rejections."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gql_server.carbon.emissions import OVERRIDE_KEY, compute
from gql_server.carbon.factors import NO_FACTOR_KEY, Factor, FactorIndex
from gql_server.carbon.formats import ENTRY_FORMATS, factor_format
from gql_server.carbon.rates import shipped_rates
from gql_server.carbon.readers import EntryReader, FactorReader, ParsedEntry, RowRejected
from gql_server.carbon.refusals import FileRefused
from gql_server.carbon.tablefile import OUTSIDE

PROCESS = [Factor(1, 70200, 50, {"category": "CO2"}, {"ef_kg_co2eq_per_unit": 1.5})]
MACHINES = [
    Factor(1, 80200, 11, {"equipment_class": "Laptop", "sub_class": "Pro"}, {}),
    Factor(2, 80100, 10, {"equipment_class": "Laser"}, {}),
    Factor(3, 80200, 11, {"equipment_class": "Screen"}, {}),
    Factor(4, 80300, 12, {"equipment_class": "Screen"}, {}),
]
GOODS = [
    Factor(1, 90200, 60, {"purchase_institutional_code": "100", "purchase_additional_code": "A"}, {}),
    Factor(2, 90200, 60, {"purchase_institutional_code": "100", "purchase_additional_code": "B"}, {}),
    Factor(3, 90700, 65, {"purchase_institutional_code": "200"}, {}),
]
FACTORS = {"process_emissions": PROCESS, "equipment": MACHINES, "purchase": GOODS}
UNIT = {"unit_institutional_id": "10208"}
CO2 = UNIT | {"category": "CO2", "quantity": "100"}
LAPTOP = UNIT | {"name": "Dell", "equipment_class": "Laptop", "sub_class": "Pro"}
MEMBER = UNIT | {"name": "Zoé", "sius_code": "51", "user_institutional_id": "7", "fte": "0.5"}
PURCHASE = UNIT | {"name": "Gants", "purchase_institutional_code": "200", "total_spent_amount": "12.50"}


def reader(key: str, **options) -> EntryReader:
    return EntryReader(ENTRY_FORMATS[key], FactorIndex(FACTORS.get(key, []), ignore_case=True), **options)


def read(key: str, cells: dict[str, str], **options) -> ParsedEntry | RowRejected:
    return reader(key, **options).read(7, cells)


def without(cells: dict[str, str], *columns: str) -> dict[str, str]:
    return {column: cell for column, cell in cells.items() if column not in columns}


def test_a_process_row_becomes_an_entry():
    assert read("process_emissions", CO2 | {"note": "été"}) == ParsedEntry(
        "10208", 50, {"category": "CO2", "quantity": 100.0, "note": "été"}
    )


def test_a_member_row_becomes_an_entry():
    assert read("headcount_member", MEMBER) == ParsedEntry(
        "10208", 1, {"name": "Zoé", "sius_code": "51", "user_institutional_id": "7", "fte": 0.5}
    )


def test_a_student_row_becomes_an_entry():
    assert read("headcount_student", UNIT | {"fte": "12.25"}) == ParsedEntry("10208", 2, {"fte": 12.25})


def test_equipment_takes_its_type_and_spelling_from_the_matching_factor():
    assert read("equipment", LAPTOP | {"equipment_class": "LAPTOP", "active_usage_hours_per_week": "40"}) == ParsedEntry(
        "10208",
        11,
        {"name": "Dell", "equipment_class": "Laptop", "sub_class": "Pro", "active_usage_hours_per_week": 40.0},
    )


def test_a_purchase_takes_its_type_from_the_matching_factor_and_is_in_francs_unless_it_says():
    assert read("purchase", PURCHASE) == ParsedEntry(
        "10208", 65, {"name": "Gants", "purchase_institutional_code": "200", "total_spent_amount": 12.5, "currency": "chf"}
    )
    euros = read("purchase", PURCHASE | {"currency": "EUR"})
    assert isinstance(euros, ParsedEntry)
    assert euros.data["currency"] == "eur"


def test_unknown_columns_are_ignored():
    assert read("process_emissions", CO2 | {"colour": "blue", OVERRIDE_KEY: "5"}) == read("process_emissions", CO2)


def test_the_category_column_comes_before_the_factor_and_the_upload_before_both():
    screen = LAPTOP | {"equipment_class": "Screen"}

    assert read("equipment", screen) == RowRejected(
        7, "equipment_class", "several factors match: the category is needed to tell which is meant: “Screen”", "Screen"
    )
    for options, cells, expected in [
        ({}, screen | {"equipment_category": "other"}, 12),
        ({"data_entry_type_id": 11}, screen, 11),
        ({"data_entry_type_id": 11}, screen | {"equipment_category": "other"}, 11),
    ]:
        entry = read("equipment", cells, **options)
        assert isinstance(entry, ParsedEntry)
        assert entry.data_entry_type_id == expected


def test_a_row_whose_factor_is_of_another_entry_type_than_the_upload_or_its_category_says_is_rejected_with_that_type():
    laser, code = LAPTOP | {"equipment_class": "Laser"}, PURCHASE | {"purchase_institutional_code": "100"}
    as_it = "its factor is of scientific, not of it: upload it without entryType, or with that of its factor"
    for key, options, cells, column, reason in [
        ("equipment", {"data_entry_type_id": 11}, laser, "equipment_class", as_it),
        (
            "equipment",
            {"data_entry_type_id": 10},
            laser | {"equipment_class": "Screen"},
            "equipment_class",
            "its factor is of it or other, not of scientific: upload it without entryType, or with that of its factor",
        ),
        (
            "equipment",
            {},
            laser | {"equipment_category": "it"},
            "equipment_category",
            "its factor is of scientific, not of it as equipment_category says: correct equipment_category",
        ),
        (
            "purchase",
            {"data_entry_type_id": 64},
            code | {"purchase_additional_code": "A"},
            "purchase_institutional_code",
            "its factor is of scientific_equipment, not of services: upload it without entryType, or with that of its factor",
        ),
    ]:
        factors = [*FACTORS[key], Factor(9, 80200, 11, {"equipment_class": "Own"}, {}), Factor(8, 90600, 64, {}, {})]
        given: dict[str, Any] = options
        reader = EntryReader(ENTRY_FORMATS[key], FactorIndex(factors, ignore_case=True), **given)
        assert reader.read(7, cells) == RowRejected(7, column, reason, cells[column])


def test_an_ambiguous_purchase_code_is_rejected():
    assert read("purchase", PURCHASE | {"purchase_institutional_code": "100"}) == RowRejected(
        7,
        "purchase_institutional_code",
        "several factors match this purchase_institutional_code and no single one is its average: 100",
        "100",
    )


GOOD = {
    "process_emissions": CO2,
    "headcount_member": MEMBER,
    "headcount_student": UNIT | {"fte": "1"},
    "equipment": LAPTOP,
    "purchase": PURCHASE,
}


@pytest.mark.parametrize(
    ("key", "column", "cell", "reason"),
    [
        ("process_emissions", "quantity", "cent", "must be a number, not “cent”"),
        ("process_emissions", "quantity", "1_000", "must be a number, not “1_000”"),
        ("process_emissions", "quantity", "１００", "must be a number, not “１００”"),
        (
            "process_emissions",
            "quantity",
            "1,5",
            "must be a number, not “1,5”: say decimalMark=COMMA if that is a decimal comma",
        ),
        ("process_emissions", "quantity", "-5", "must be greater than or equal to 0, not -5"),
        ("process_emissions", "quantity", "1e13", "must be less than or equal to 1000000000000, not “1e13”"),
        ("process_emissions", "quantity", "1e400", "must be a finite number, not “1e400”"),
        ("process_emissions", "quantity", "nan", "must be a number, not “nan”"),
        ("headcount_member", "sius_code", "55", "must be '51', '52', '53', '54', '56', '57', '58' or '59', not 55"),
        ("headcount_member", "fte", "1.1", "must be less than or equal to 1, not 1.1"),
        ("headcount_student", "fte", "-1", "must be greater than or equal to 0, not -1"),
        ("equipment", "active_usage_hours_per_week", "169", "must be less than or equal to 168, not 169"),
        ("equipment", "equipment_category", "IT", "must be 'scientific', 'it' or 'other', not “IT”"),
        ("purchase", "currency", "btc", "must be 'aud', 'cad', 'chf', 'cny', 'eur', 'gbp', 'jpy', 'sek' or 'usd', not “btc”"),
    ],
)
def test_a_cell_that_breaks_its_columns_rule_rejects_the_row(key: str, column: str, cell: str, reason: str):
    assert read(key, GOOD[key] | {column: cell}) == RowRejected(7, column, f"{column} {reason}", cell)


@pytest.mark.parametrize(
    ("key", "column", "cell", "name", "kind", "subkind"),
    [
        ("process_emissions", "category", "Xe", "process_emissions", "Xe", None),
        ("equipment", "equipment_class", "Café", "equipment_electric_consumption", "Café", "Pro"),
        ("purchase", "purchase_institutional_code", "9", "purchase", "9", None),
    ],
)
def test_a_row_without_a_matching_factor_is_rejected(
    key: str, column: str, cell: str, name: str, kind: str, subkind: str | None
):
    reason = f"no matching factor for {name} (kind={kind}, subkind={subkind})"

    assert read(key, GOOD[key] | {column: cell}) == RowRejected(7, column, reason, cell)


@pytest.mark.parametrize(
    ("key", "cells", "options", "entry_type", "lack"),
    [
        ("equipment", {"equipment_class": "Café"}, {"data_entry_type_id": 10}, 10, "scientific (kind=Café, subkind=Pro)"),
        ("equipment", {"equipment_class": "Café", "equipment_category": "other"}, {}, 12, "other (kind=Café, subkind=Pro)"),
        (
            "purchase",
            {"purchase_institutional_code": "9", "purchase_category": "services"},
            {},
            64,
            "services (kind=9, subkind=None)",
        ),
    ],
)
def test_a_row_whose_entry_type_is_known_is_kept_until_its_factor_comes(
    key: str, cells: dict[str, str], options: dict[str, int], entry_type: int, lack: str
):
    entry = read(key, GOOD[key] | cells, **options)

    assert isinstance(entry, ParsedEntry)
    assert (entry.data_entry_type_id, entry.lack and entry.lack[1]) == (entry_type, f"no factor yet for {lack}")
    assert entry.data[NO_FACTOR_KEY] is True


@pytest.mark.parametrize(
    ("key", "options", "names"),
    [
        ("equipment", {"data_entry_type_id": 11}, "entry type it"),
        ("equipment", {}, "entry types scientific, it and other"),
        ("process_emissions", {}, "entry type process_emissions"),
    ],
)
def test_without_any_factor_the_file_is_refused_and_the_entry_type_named(key: str, options: dict[str, Any], names: str):
    with pytest.raises(FileRefused, match=f"no emission factors of {names} for this year: upload the factors first"):
        EntryReader(ENTRY_FORMATS[key], FactorIndex([]), **options)


@pytest.mark.parametrize(
    ("key", "column"), [("process_emissions", "quantity"), ("headcount_member", "fte"), ("purchase", "name")]
)
def test_a_blank_mandatory_cell_rejects_the_row(key: str, column: str):
    assert read(key, without(GOOD[key], column)) == RowRejected(7, column, f"{column} is blank", None)


def test_hours_beyond_a_week_are_rejected():
    hours = {"active_usage_hours_per_week": "100", "standby_usage_hours_per_week": "68.5"}

    assert read("equipment", LAPTOP | hours) == RowRejected(
        7, "standby_usage_hours_per_week", "active and standby hours add up to 168.5, more than 168 a week", "68.5"
    )


def test_a_cell_outside_the_named_columns_rejects_the_row():
    assert read("process_emissions", CO2 | {OUTSIDE: "x"}) == RowRejected(
        7, None, "the row has a cell outside the named columns: “x”", "x"
    )


def test_a_long_cell_is_shortened_in_the_rejection():
    assert read("process_emissions", CO2 | {"note": "x" * 2001}) == RowRejected(
        7, "note", f"note should have at most 2000 characters, not “{'x' * 59}…”", "x" * 199 + "…"
    )


def test_hours_that_fill_the_week_are_accepted():
    hours = {"active_usage_hours_per_week": "40", "standby_usage_hours_per_week": "128"}

    assert isinstance(read("equipment", LAPTOP | hours), ParsedEntry)


def test_a_row_without_a_unit_is_skipped_with_a_reason():
    assert read("process_emissions", without(CO2, "unit_institutional_id")) == RowRejected(
        7, "unit_institutional_id", "unit_institutional_id is blank, the row was skipped", None
    )


def test_a_template_row_without_any_mandatory_cell_is_skipped_with_a_reason():
    assert read("process_emissions", UNIT | {"note": "remplir"}) == RowRejected(
        7, None, "all mandatory cells are blank, the row was skipped", None
    )


def test_an_unknown_unit_is_rejected_and_the_others_are_not():
    process = reader("process_emissions", units={"10208"})

    assert process.read(1, CO2 | {"unit_institutional_id": "99999"}) == RowRejected(
        1, "unit_institutional_id", "unknown unit 99999", "99999"
    )
    assert isinstance(process.read(2, CO2), ParsedEntry)


def test_a_file_of_one_unit_has_no_unit_column():
    entry = read("process_emissions", without(CO2, "unit_institutional_id"), unit="10209")

    assert isinstance(entry, ParsedEntry)
    assert entry.unit_institutional_id == "10209"


def test_the_same_person_twice_in_a_unit_is_a_duplicate_but_not_in_two_units():
    members = reader("headcount_member")

    assert isinstance(members.read(1, MEMBER), ParsedEntry)
    assert members.read(2, MEMBER | {"name": "Zoé B."}) == RowRejected(
        2, "user_institutional_id", "DUPLICATE_INSTITUTIONAL_ID: this person is already listed in the unit: 7", "7"
    )
    assert isinstance(members.read(3, MEMBER | {"unit_institutional_id": "10209"}), ParsedEntry)


def test_a_rejected_row_does_not_make_the_next_one_a_duplicate():
    members = reader("headcount_member")

    assert isinstance(members.read(1, MEMBER | {"fte": "2"}), RowRejected)
    assert isinstance(members.read(2, MEMBER), ParsedEntry)


def test_people_without_an_id_are_never_duplicates():
    members = reader("headcount_member")
    anonymous = without(MEMBER, "user_institutional_id")

    assert [isinstance(members.read(row, anonymous), ParsedEntry) for row in (1, 2)] == [True, True]


def test_a_member_already_stored_is_a_duplicate():
    assert isinstance(read("headcount_member", MEMBER, members=[("10208", "7")]), RowRejected)


@pytest.mark.parametrize("key", ["process_emissions", "equipment", "purchase"])
def test_without_any_factor_the_file_is_refused_before_its_rows(key: str):
    with pytest.raises(FileRefused, match="there are no emission factors of"):
        EntryReader(ENTRY_FORMATS[key], FactorIndex([]))


def test_an_override_is_stored_under_its_reserved_key_even_when_zero():
    entry = read("process_emissions", CO2 | {"kg_co2eq": "0"})

    assert entry == ParsedEntry("10208", 50, {"category": "CO2", "quantity": 100.0, OVERRIDE_KEY: 0.0})


def test_an_override_needs_no_factor_once_the_type_is_known():
    other = LAPTOP | {"equipment_class": "Télescope", "kg_co2eq": "12"}

    assert isinstance(read("equipment", other), RowRejected)
    assert read("equipment", other | {"equipment_category": "other"}) == ParsedEntry(
        "10208",
        12,
        {"name": "Dell", "equipment_class": "Télescope", "sub_class": "Pro", "equipment_category": "other", OVERRIDE_KEY: 12.0},
    )


def test_an_override_that_is_no_number_is_ignored_with_a_warning():
    assert read("process_emissions", CO2 | {"kg_co2eq": "beaucoup"}) == ParsedEntry(
        "10208",
        50,
        {"category": "CO2", "quantity": 100.0},
        (("kg_co2eq", "kg_co2eq is not a number and was ignored: “beaucoup”"),),
    )


@pytest.mark.parametrize(
    ("code", "additional", "warnings"),
    [
        (
            "200",
            "ZZ99",
            (("purchase_additional_code", "purchase_additional_code “ZZ99” has no factor: the average of 200 was taken"),),
        ),
        ("200", "", ()),
        ("100", "a", ()),
    ],
)
def test_an_average_in_place_of_an_unknown_additional_code_is_a_warning(
    code: str, additional: str, warnings: tuple[tuple[str, str], ...]
):
    entry = read(
        "purchase",
        PURCHASE | {"purchase_institutional_code": code} | ({"purchase_additional_code": additional} if additional else {}),
    )

    assert isinstance(entry, ParsedEntry)
    assert entry.warnings == warnings


def test_a_decimal_comma_in_a_cell_of_a_file_with_commas_is_told_with_its_parameter():
    assert read("process_emissions", CO2 | {"quantity": "5,5"}) == RowRejected(
        7, "quantity", "quantity must be a number, not “5,5”: say decimalMark=COMMA if that is a decimal comma", "5,5"
    )


def test_headcount_has_no_override():
    assert read("headcount_student", UNIT | {"fte": "1", "kg_co2eq": "5"}) == ParsedEntry("10208", 2, {"fte": 1.0})


@settings(deadline=None)
@given(st.floats(-1e12, 1e12))
def test_an_override_survives_from_cell_to_emission(kg: float):
    entry = read("process_emissions", CO2 | {"kg_co2eq": repr(kg)})
    assert isinstance(entry, ParsedEntry)

    (emission,) = compute(entry.data_entry_type_id, entry.data, FactorIndex(PROCESS), shipped_rates(2024))

    assert (emission.kg_co2eq, emission.factor_id) == (kg, None)


CELL = st.one_of(
    st.text(max_size=12), st.sampled_from(["10208", "CO2", "Laptop", "Pro", "100", "1e400", "-1", "0", "51", "A", "chf"])
)
CELLS = st.dictionaries(
    st.sampled_from(sorted({OUTSIDE, "kg_co2eq", "equipment_category", *CO2, *LAPTOP, *MEMBER, *PURCHASE})), CELL
)


@settings(deadline=None)
@given(st.sampled_from(sorted(ENTRY_FORMATS)), CELLS)
def test_any_cells_become_an_entry_or_a_rejection(key: str, cells: dict[str, str]):
    outcome = read(key, cells, units={"10208"})

    if isinstance(outcome, ParsedEntry):
        assert outcome.unit_institutional_id == "10208"
        assert outcome.data_entry_type_id in ENTRY_FORMATS[key].data_entry_types
    else:
        assert outcome.reason


def factor_reader(module_id: int, **options) -> FactorReader:
    format = factor_format(module_id)
    assert format
    return FactorReader(format, **options)


def test_a_factor_row_is_read():
    outcome = factor_reader(8).read(1, {"category": "CO2", "unit": "kg", "ef_kg_co2eq_per_unit": "1.5"})

    assert isinstance(outcome, tuple)
    assert [(factor.emission_type_id, factor.values["ef_kg_co2eq_per_unit"]) for factor in outcome] == [(70200, 1.5)]


FACTOR_CELLS = {
    8: {"category": "CO2", "ef_kg_co2eq_per_unit": "1"},
    1: {"category": "food", "number_of_unit_per_fte": "1", "ef_kg_co2eq_per_unit": "1"},
    4: {
        "equipment_category": "it",
        "equipment_class": "PC",
        "active_power_w": "100",
        "standby_power_w": "10",
        "ef_kg_co2eq_per_kwh": "0.1",
    },
}


@pytest.mark.parametrize(
    ("module_id", "column", "cell", "reason"),
    [
        (8, "ef_kg_co2eq_per_unit", "-1", "ef_kg_co2eq_per_unit must be greater than or equal to 0, not -1"),
        (1, "category", "sleep", "no emission type for this category, class and subclass: “sleep”"),
        (4, "equipment_category", "IT", "equipment_category must be 'scientific', 'it' or 'other', not “IT”"),
    ],
)
def test_a_bad_factor_row_is_rejected(module_id: int, column: str, cell: str, reason: str):
    good = FACTOR_CELLS[module_id]

    assert isinstance(factor_reader(module_id).read(3, good), tuple)
    assert factor_reader(module_id).read(3, good | {column: cell}) == RowRejected(3, column, reason, cell)
    assert factor_reader(module_id).read(3, without(good, column)) == RowRejected(3, column, f"{column} is blank", None)


def test_a_factor_of_another_entry_type_than_the_uploads_is_rejected():
    cells = {"purchase_category": "services", "purchase_institutional_code": "1", "ef_kg_co2eq_per_currency": "1"}

    assert isinstance(factor_reader(5, data_entry_type_id=64).read(1, cells), tuple)
    outcome = factor_reader(5, data_entry_type_id=60).read(1, cells)
    assert isinstance(outcome, RowRejected)
    assert (outcome.column, outcome.value) == ("purchase_category", "services")


def test_the_same_factor_twice_in_a_file_is_rejected():
    factors = factor_reader(8)

    assert isinstance(factors.read(1, {"category": "CO2", "ef_kg_co2eq_per_unit": "1"}), tuple)
    assert factors.read(2, {"category": "CO2", "ef_kg_co2eq_per_unit": "2"}) == RowRejected(
        2, None, "the file gives this factor twice: “CO2”", None
    )
    assert isinstance(factors.read(3, {"category": "CO2", "subcategory": "dry", "ef_kg_co2eq_per_unit": "2"}), tuple)
