"""Each example file does what its table says."""

import subprocess
import sys
from collections import Counter, defaultdict
from itertools import count
from pathlib import Path

import pytest

from gql_server.carbon.catalog import entry_type_by_key, module_by_key
from gql_server.carbon.directory import read_directory
from gql_server.carbon.emissions import compute
from gql_server.carbon.factors import Factor, FactorIndex
from gql_server.carbon.formats import entry_format, factor_format, open_rows
from gql_server.carbon.rates import ExchangeRates, rates_of
from gql_server.carbon.readers import EntryReader, FactorReader, ParsedEntry, RowRejected
from gql_server.carbon.reference import ReferenceReader, open_reference, reference_format
from gql_server.carbon.refusals import FileRefused

EXAMPLES = Path(__file__).parents[2] / "examples"
COLUMNS = ("file", "module", "entry_type", "unit", "accepted", "rejected", "outcome", "about")
TABLE: list[dict[str, str]] = [
    dict(zip(COLUMNS, (cell.strip() for cell in line.split("|")[1:-1]), strict=True))
    for line in (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and ".csv" in line
]
FACTOR_FILES = {1: "headcount", 4: "equipment", 5: "purchases", 8: "process_emissions"}
UNITS = {unit.institutional_id for unit in read_directory().units}

Outcomes = list[ParsedEntry | RowRejected]


def factors_of(module_id: int) -> list[Factor]:
    format, ids = factor_format(module_id), count(1)
    assert format
    reader = FactorReader(format)
    factors: list[Factor] = []
    with open_rows(EXAMPLES / "factors" / f"{FACTOR_FILES[module_id]}.csv", format) as rows:
        for number, cells in rows:
            outcome = reader.read(number, cells)
            assert isinstance(outcome, tuple)
            factors += [
                Factor(next(ids), new.emission_type_id, new.data_entry_type_id, new.classification, new.values)
                for new in outcome
            ]
    return factors


def entries_of(row: dict[str, str], factors: list[Factor]) -> Outcomes:
    module = module_by_key(row["module"])
    assert module
    named = entry_type_by_key(module.id, row["entry_type"])
    entry_type, unit = named.id if named else None, row["unit"] or None
    format = entry_format(module.id, entry_type)
    assert format
    reader = EntryReader(format, FactorIndex(factors, ignore_case=True), data_entry_type_id=entry_type, unit=unit, units=UNITS)
    with open_rows(EXAMPLES / row["file"], format, unit=unit) as rows:
        return [reader.read(number, cells) for number, cells in rows]


def example(file: str) -> dict[str, str]:
    return next(row for row in TABLE if row["file"] == file)


def kilograms(file: str) -> defaultdict[str, float]:
    """kg CO2-eq by unit, of everything but rollups."""
    row = example(file)
    module = module_by_key(row["module"])
    assert module
    factors = factors_of(module.id)
    exact, rates = FactorIndex(factors), uploaded_rates()
    totals: defaultdict[str, float] = defaultdict(float)
    for entry in entries_of(row, factors):
        assert isinstance(entry, ParsedEntry)
        emissions = compute(entry.data_entry_type_id, entry.data, exact, rates)
        assert emissions
        totals[entry.unit_institutional_id] += sum(emission.kg_co2eq for emission in emissions if emission.scope)
    return totals


def test_the_generator_would_write_the_same_files():
    check = subprocess.run(
        [sys.executable, EXAMPLES / "generate.py", "--check"], capture_output=True, text=True, encoding="utf-8", check=False
    )

    assert (check.stdout, check.returncode) == (f"0 of {len(TABLE) + 3} files differ\n", 0)


def test_every_file_is_in_the_table():
    assert {row["file"] for row in TABLE} == {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob("*/*.csv")}


@pytest.mark.parametrize("module_id", FACTOR_FILES)
def test_each_factor_file_gives_the_number_of_factors_its_table_says(module_id: int):
    rows_per_factor = 2 if module_id == 1 else 1  # members and students

    accepted = int(example(f"factors/{FACTOR_FILES[module_id]}.csv")["accepted"])

    assert len(factors_of(module_id)) == accepted * rows_per_factor


def uploaded_rates() -> ExchangeRates:
    reader = ReferenceReader(reference_format(5))
    with open_reference(EXAMPLES / "reference" / "exchange_rates_2025.csv", reference_format(5)) as rows:
        read = [reader.read(number, cells) for number, cells in rows]
    return rates_of(2025, dict(row for row in read if not isinstance(row, RowRejected)))


REFUSED = {"failures/equipment_2023.csv", "failures/purchases_mixed_encodings.csv"}
READABLE = [row for row in TABLE if not row["file"].startswith(("factors/", "reference/")) and row["file"] not in REFUSED]


@pytest.mark.parametrize("row", READABLE, ids=[row["file"] for row in READABLE])
def test_each_data_file_is_accepted_and_rejected_as_its_table_says(row: dict[str, str]):
    module = module_by_key(row["module"])
    assert module

    outcomes = Counter(type(outcome) for outcome in entries_of(row, factors_of(module.id)))

    assert (outcomes[ParsedEntry], outcomes[RowRejected]) == (int(row["accepted"]), int(row["rejected"]))


def test_the_few_bad_rows_are_the_ones_named():
    outcomes = entries_of(example("failures/headcount_members_few_bad_rows.csv"), [])

    rejected = [(outcome.row, outcome.column) for outcome in outcomes if isinstance(outcome, RowRejected)]
    assert rejected == [
        (10, "unit_institutional_id"),
        (11, "fte"),
        (12, "sius_code"),
        (23, "fte"),
        (24, "user_institutional_id"),
        (25, "unit_institutional_id"),
    ]


def test_every_row_of_the_worst_file_is_bad_in_its_own_way():
    outcomes = entries_of(example("failures/process_emissions_all_bad.csv"), factors_of(8))

    reasons = [(outcome.column, outcome.reason) for outcome in outcomes if isinstance(outcome, RowRejected)]
    assert len(reasons) == 8
    assert len(set(reasons)) == 8


def test_equipment_of_a_year_without_factors_is_refused():
    with pytest.raises(FileRefused, match="no emission factors of entry types scientific, it and other"):
        entries_of(example("failures/equipment_2023.csv"), [])


def test_a_file_in_two_encodings_is_refused():
    with pytest.raises(FileRefused, match="not UTF-8 text, though parts of it are"):
        entries_of(example("failures/purchases_mixed_encodings.csv"), factors_of(5))


def test_the_golden_numbers_can_be_seen():
    first, corrected = kilograms("data/process_emissions_2025.csv"), kilograms("data/process_emissions_2025_corrected.csv")

    assert (first["10208"], first["10209"], first["10210"]) == (150.0, 75.0, 0)
    assert (corrected["10208"], corrected["10209"], corrected["10210"]) == (180.0, 0, 15.0)


def test_the_large_file_covers_432_units_and_three_entry_types_in_little_space():
    row = example("data/equipment_2025.csv")
    entries = [entry for entry in entries_of(row, factors_of(4)) if isinstance(entry, ParsedEntry)]

    assert (EXAMPLES / row["file"]).stat().st_size < 590_000
    assert len({entry.unit_institutional_id for entry in entries}) == 432
    assert {entry.data_entry_type_id for entry in entries} == {10, 11, 12}


def test_purchases_reach_seven_entry_types():
    entries = entries_of(example("data/purchases_2025.csv"), factors_of(5))

    assert {entry.data_entry_type_id for entry in entries if isinstance(entry, ParsedEntry)} == set(range(60, 67))


@pytest.mark.parametrize("file", [row["file"] for row in TABLE if row["file"].startswith("data/")])
def test_every_entry_of_a_good_file_has_emissions_after_an_exact_match(file: str):
    assert min(kilograms(file).values()) > 0


def test_the_exchange_rates_of_the_examples_say_where_they_are_from():
    rates = uploaded_rates()

    assert int(example("reference/exchange_rates_2025.csv")["accepted"]) == len(rates.per_eur) == 8
    assert rates.sources == {"Example: near the averages of 2025, for trying this server only"}
