"""Each upload finds its format, and its header is checked before any row."""

from pathlib import Path

import pytest

from gql_server.carbon.formats import ENTRY_FORMATS, EntryFormat, FactorFormat, entry_format, factor_format, open_rows
from gql_server.carbon.refusals import FileRefused


def header_refusal(tmp_path: Path, header: str, format: EntryFormat | FactorFormat, unit: str | None = None) -> str | None:
    path = tmp_path / "upload.csv"
    path.write_text(f"{header}\n1\n")
    try:
        open_rows(path, format, unit=unit).close()
    except FileRefused as refused:
        return refused.message
    return None


@pytest.mark.parametrize(
    ("module_id", "entry_type", "key"),
    [
        (8, None, "process_emissions"),
        (8, 50, "process_emissions"),
        (4, None, "equipment"),
        (4, 11, "equipment"),
        (5, None, "purchase"),
        (5, 66, "purchase"),
        (1, 1, "headcount_member"),
        (1, 2, "headcount_student"),
    ],
)
def test_module_and_entry_type_tell_the_format(module_id: int, entry_type: int | None, key: str):
    assert entry_format(module_id, entry_type) is ENTRY_FORMATS[key]


@pytest.mark.parametrize(("module_id", "entry_type"), [(1, None), (2, 20), (5, 67), (8, 10), (9, None)])
def test_there_is_no_format_where_none_fits_or_several_do(module_id: int, entry_type: int | None):
    assert entry_format(module_id, entry_type) is None


def test_four_modules_take_factors():
    assert [module_id for module_id in range(1, 9) if factor_format(module_id)] == [1, 4, 5, 8]


def test_a_file_of_many_units_needs_its_unit_column_and_the_mandatory_ones(tmp_path: Path):
    equipment = ENTRY_FORMATS["equipment"]

    assert header_refusal(tmp_path, "unit_institutional_id,name,equipment_class", equipment) is None
    assert header_refusal(tmp_path, "name,equipment_class", equipment) == "missing column unit_institutional_id"
    assert header_refusal(tmp_path, "unit_institutional_id", equipment) == "missing columns name, equipment_class"


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("unit_institutional_id,category,quantitiy", "quantity — “quantitiy” of the file looks like quantity"),
        ("unit_institutional_id,Catégorie,quantity", "category — “catégorie” of the file looks like category"),
        ("unit,category,quantity", "unit_institutional_id — “unit” of the file looks like unit_institutional_id"),
        ("unit_institutional_id,category,note", "quantity"),
    ],
)
def test_a_missing_column_is_named_with_the_nearest_one_of_the_file(tmp_path: Path, header: str, told: str):
    assert header_refusal(tmp_path, header, ENTRY_FORMATS["process_emissions"]) == f"missing column {told}"


def test_a_header_is_read_whatever_its_case_and_what_joins_its_words(tmp_path: Path):
    path = tmp_path / "upload.csv"
    path.write_text("Unit Institutional ID,CATEGORY,Quantity ,Active-Usage\n10208,CO2,1,x\n")

    with open_rows(path, ENTRY_FORMATS["process_emissions"]) as table:
        rows = list(table)

    assert rows == [
        (1, {"unit_institutional_id": "10208", "category": "CO2", "quantity": "1", "active-usage": "x"}),
    ]
    assert table.reading["unread_columns"] == ["active-usage"]


def test_one_column_in_two_spellings_is_refused(tmp_path: Path):
    header = "unit-institutional-id,unit institutional id,category,quantity"

    assert header_refusal(tmp_path, header, ENTRY_FORMATS["process_emissions"]) == (
        "the columns unit institutional id and unit-institutional-id are the same: leave one of them out"
    )
    assert header_refusal(tmp_path, f"unit_institutional_id,{header}", ENTRY_FORMATS["process_emissions"]) is None


def test_a_file_of_one_unit_needs_the_mandatory_columns_and_no_unit(tmp_path: Path):
    equipment = ENTRY_FORMATS["equipment"]

    assert header_refusal(tmp_path, "name,equipment_class", equipment, unit="10208") is None
    assert header_refusal(tmp_path, "sub_class", equipment, unit="10208") == "missing columns name, equipment_class"


def test_a_factor_file_needs_its_mandatory_columns(tmp_path: Path):
    headcount = factor_format(1)
    assert headcount

    assert header_refusal(tmp_path, "category,number_of_unit_per_fte,ef_kg_co2eq_per_unit", headcount) is None
    assert (
        header_refusal(tmp_path, "class,number_of_unit_per_fte", headcount) == "missing columns category, ef_kg_co2eq_per_unit"
    )


def test_a_header_may_be_separated_by_semicolons(tmp_path: Path):
    assert header_refusal(tmp_path, "unit_institutional_id;category;quantity", ENTRY_FORMATS["process_emissions"]) is None


HEADCOUNT = "headcount_category,headcount_class,headcount_subclass,unit,number_of_unit_per_fte,ef_kg_co2eq_per_unit"


def test_headcount_factors_have_the_columns_of_the_wild_or_ours_but_not_both(tmp_path: Path):
    headcount = factor_format(1)
    assert headcount

    assert header_refusal(tmp_path, HEADCOUNT, headcount) is None
    assert header_refusal(tmp_path, HEADCOUNT.replace("headcount_", ""), headcount) is None
    assert header_refusal(tmp_path, f"{HEADCOUNT},class", headcount) == (
        "the columns class and headcount_class are the same: leave one of them out"
    )
    assert header_refusal(tmp_path, "headcount_class,number_of_unit_per_fte", headcount) == (
        "missing columns category, ef_kg_co2eq_per_unit"
    )
