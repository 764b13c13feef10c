"""A file that was sent as another kind is recognised by its columns, before anything of it is read."""

from pathlib import Path

import pytest

from gql_server.carbon.formats import ENTRY_FORMATS, EntryFormat, FactorFormat, factor_format, open_rows
from gql_server.carbon.recognition import FILE_KINDS
from gql_server.carbon.reference import open_reference, reference_format
from gql_server.carbon.refusals import FileRefused

EXAMPLES = Path(__file__).parents[2] / "examples"
PARAMETERS = {
    "data/equipment_2025.csv": "target=data and module=equipment_electric_consumption",
    "data/headcount_members_2025.csv": "target=data, module=headcount and entryType=member",
    "data/headcount_students_2025.csv": "target=data, module=headcount and entryType=student",
    "data/process_emissions_2025.csv": "target=data and module=process_emissions",
    "data/process_emissions_unit_10208.csv": "target=data and module=process_emissions",
    "data/purchases_2025.csv": "target=data and module=purchase",
    "factors/equipment.csv": "target=factors and module=equipment_electric_consumption",
    "factors/headcount.csv": "target=factors and module=headcount",
    "factors/process_emissions.csv": "target=factors and module=process_emissions",
    "factors/purchases.csv": "target=factors and module=purchase",
    "reference/exchange_rates_2025.csv": "target=reference and module=purchase",
}


def _formats() -> dict[str, EntryFormat | FactorFormat]:
    factors = {
        f"target=factors and module={format.key.removesuffix('_factors')}": format
        for format in map(factor_format, (1, 5, 8))
        if format
    }
    equipment = factor_format(4)
    assert equipment
    return {
        PARAMETERS["data/equipment_2025.csv"]: ENTRY_FORMATS["equipment"],
        PARAMETERS["data/headcount_members_2025.csv"]: ENTRY_FORMATS["headcount_member"],
        PARAMETERS["data/headcount_students_2025.csv"]: ENTRY_FORMATS["headcount_student"],
        PARAMETERS["data/process_emissions_2025.csv"]: ENTRY_FORMATS["process_emissions"],
        PARAMETERS["data/purchases_2025.csv"]: ENTRY_FORMATS["purchase"],
        PARAMETERS["factors/equipment.csv"]: equipment,
        **factors,
    }


def refusal(path: Path, format: EntryFormat | FactorFormat, unit: str | None = None) -> str | None:
    try:
        open_rows(path, format, unit=unit, kinds=FILE_KINDS).close()
    except FileRefused as refused:
        return refused.message
    return None


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_example_is_taken_as_what_it_is_and_refused_as_any_other_with_its_parameters(name: str) -> None:
    for parameters, format in _formats().items():
        told = refusal(EXAMPLES / name, format, unit="10208" if "10208" in name else None)
        if parameters == PARAMETERS[name]:
            assert told is None
        else:
            assert told is not None
            assert told.startswith("this looks like ")
            assert told.endswith(f": upload it with {PARAMETERS[name]}")


def test_a_file_of_another_kind_is_recognised_as_reference_data_too() -> None:
    rates, factors = EXAMPLES / "reference/exchange_rates_2025.csv", EXAMPLES / "factors/purchases.csv"
    with pytest.raises(FileRefused) as told:
        open_reference(rates, reference_format(4), kinds=FILE_KINDS)
    assert str(told.value) == "this looks like exchange rates: upload it with target=reference and module=purchase"
    with pytest.raises(FileRefused) as told:
        open_reference(factors, reference_format(5), kinds=FILE_KINDS)
    assert str(told.value) == "this looks like emission factors of purchase: upload it with target=factors and module=purchase"
    open_reference(rates, reference_format(5), kinds=FILE_KINDS).close()


@pytest.mark.parametrize(
    ("key", "header", "told"),
    [
        (
            "headcount_member",
            "unit_institutional_id,name,sius,fte",
            "missing column sius_code — “sius” of the file looks like sius_code",
        ),
        ("headcount_student", "unit_institutional_id,fte,name", None),
        (
            "headcount_member",
            "unit_institutional_id,fte,note",
            "this looks like data of headcount (student): upload it with target=data, module=headcount and entryType=student",
        ),
        ("process_emissions", "unit_institutional_id,category,quantity,ef_kg_co2eq_per_unit", None),
        (
            "purchase",
            "unit_institutional_id,category,quantity",
            "this looks like data of process_emissions: upload it with target=data and module=process_emissions",
        ),
    ],
)
def test_a_file_that_fits_no_other_kind_better_keeps_its_own_refusal(
    tmp_path: Path, key: str, header: str, told: str | None
) -> None:
    path = tmp_path / "upload.csv"
    path.write_text(f"{header}\n1\n")

    assert refusal(path, ENTRY_FORMATS[key]) == told


def test_rows_of_any_form_are_reference_data_once_they_have_a_key(tmp_path: Path) -> None:
    path = tmp_path / "upload.csv"
    path.write_text("key,category,quantity\na,CO2,1\n")

    open_reference(path, reference_format(4), kinds=FILE_KINDS).close()
