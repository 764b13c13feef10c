"""Factors are read from rows and matched to entries."""

from collections.abc import Mapping

import pytest

from gql_server.carbon.factors import AmbiguousFactor, Factor, FactorIndex, FactorInvalid, ParsedFactor, parsed_factors
from gql_server.carbon.rows import EquipmentFactorRow, HeadcountFactorRow, ProcessFactorRow, PurchaseFactorRow


def factor(id: int, entry_type: int, classification: Mapping[str, str], emission_type: int = 0) -> Factor:
    return Factor(id, emission_type, entry_type, classification, {})


def machine(id: int, kind: str, sub: str = "", entry_type: int = 11) -> Factor:
    return factor(id, entry_type, {"equipment_class": kind} | ({"sub_class": sub} if sub else {}))


def goods(id: int, code: str, additional: str = "", entry_type: int = 60) -> Factor:
    codes = {"purchase_institutional_code": code}
    return factor(id, entry_type, codes | ({"purchase_additional_code": additional} if additional else {}))


def matched_machine(index: FactorIndex, kind: str, sub: str | None = None, entry_types: tuple[int, ...] = (11,)) -> int | None:
    found = index.match(entry_types, {"equipment_class": kind, "sub_class": sub})
    return found.id if found else None


def matched_goods(index: FactorIndex, code: str, additional: str | None = None) -> int | None:
    found = index.match((60, 61), {"purchase_institutional_code": code, "purchase_additional_code": additional})
    return found.id if found else None


LAPTOPS = [machine(1, "Laptop"), machine(2, "Laptop", "Pro")]


def test_ingest_matches_whatever_the_case_and_falls_back_to_the_kind():
    index = FactorIndex(LAPTOPS, ignore_case=True)

    assert matched_machine(index, "LAPTOP", "pro") == 2
    assert matched_machine(index, "laptop", "unheard of") == 1
    assert matched_machine(index, "laptop") == 1
    assert matched_machine(index, "desktop") is None


def test_recalculation_matches_exactly_then_by_kind_then_not_at_all():
    index = FactorIndex(LAPTOPS)

    assert matched_machine(index, "Laptop", "Pro") == 2
    assert matched_machine(index, "Laptop", "pro") == 1
    assert matched_machine(index, "laptop", "Pro") is None


def test_a_kind_that_only_has_subkinds_is_no_fall_back():
    assert matched_machine(FactorIndex([machine(1, "Laptop", "Pro")]), "Laptop", "Standard") is None


def test_the_matching_factor_tells_the_entry_type():
    index = FactorIndex([machine(1, "Laptop"), machine(2, "Laser", entry_type=10)], ignore_case=True)

    assert matched_machine(index, "laser", entry_types=(10, 11, 12)) == 2
    assert matched_machine(index, "laser", entry_types=(11,)) is None


def test_a_class_in_two_categories_is_ambiguous_until_one_is_named():
    index = FactorIndex([machine(1, "Screen"), machine(2, "Screen", entry_type=12)])

    with pytest.raises(AmbiguousFactor):
        matched_machine(index, "Screen", entry_types=(10, 11, 12))
    assert matched_machine(index, "Screen", entry_types=(12,)) == 2


def test_an_exact_subkind_in_one_category_beats_the_kind_of_another():
    index = FactorIndex([machine(1, "Screen"), machine(2, "Screen", "Large", entry_type=12)])

    assert matched_machine(index, "Screen", "Large", entry_types=(10, 11, 12)) == 2


def test_an_entry_is_respelled_as_its_factor_so_that_recalculation_finds_it_again():
    ingest, recalc = FactorIndex(LAPTOPS, ignore_case=True), FactorIndex(LAPTOPS)
    sent: dict[str, object] = {"equipment_class": "LAPTOP", "sub_class": "pRO", "name": "dell"}
    found = ingest.match((11,), sent)
    assert found

    stored = ingest.respell(found, sent)

    assert stored == {"equipment_class": "Laptop", "sub_class": "Pro", "name": "dell"}
    assert recalc.match((11,), stored) is LAPTOPS[1]


def test_the_subkind_of_a_fall_back_is_kept_as_sent():
    index = FactorIndex(LAPTOPS, ignore_case=True)
    sent: dict[str, object] = {"equipment_class": "laptop", "sub_class": "unheard of"}
    found = index.match((11,), sent)
    assert found

    assert index.respell(found, sent) == {"equipment_class": "Laptop", "sub_class": "unheard of"}


CODES = [
    goods(1, "100", "A"),
    goods(2, "100", "B"),
    goods(3, "100"),
    goods(4, "200", "C"),
    goods(5, "300", "D"),
    goods(6, "300", "E", entry_type=61),
]


@pytest.mark.parametrize(
    ("code", "additional", "expected"),
    [
        ("100", "B", 2),
        ("200", "B", 2),
        ("100", None, 3),
        ("100", "unknown", 3),
        ("200", None, 4),
        ("200", "unknown", None),
        ("400", None, None),
        ("400", "d", None),
    ],
    ids=[
        "additional code",
        "additional code goes first",
        "average of several",
        "unknown additional code: average",
        "the only one",
        "unknown additional code and no average",
        "unknown code",
        "exact case",
    ],
)
def test_purchases_match_by_their_codes(code: str, additional: str | None, expected: int | None):
    assert matched_goods(FactorIndex(CODES), code, additional) == expected


def test_purchase_codes_ignore_case_at_ingest():
    assert matched_goods(FactorIndex(CODES, ignore_case=True), "400", "d") == 5


def test_several_factors_without_an_average_are_ambiguous():
    with pytest.raises(AmbiguousFactor, match="average"):
        matched_goods(FactorIndex(CODES), "300")


def test_an_additional_code_under_two_codes_is_told_apart_by_the_code():
    index = FactorIndex([goods(1, "100", "A"), goods(2, "200", "A")])

    assert matched_goods(index, "200", "A") == 2
    with pytest.raises(AmbiguousFactor):
        matched_goods(index, "300", "A")


def test_headcount_gets_all_sub_factors_of_each_category():
    index = FactorIndex(
        [
            factor(3, 1, {"category": "waste", "class": "incineration"}, 20001),
            factor(2, 1, {"category": "food", "class": "non_vegetarian"}, 10002),
            factor(1, 1, {"category": "food", "class": "vegetarian"}, 10001),
            factor(4, 2, {"category": "food", "class": "vegetarian"}, 10001),
        ]
    )

    assert [[found.id for found in category] for category in index.sub_factors(1)] == [[1, 2], [3]]
    assert [[found.id for found in category] for category in index.sub_factors(2)] == [[4]]


def test_an_index_knows_how_many_factors_it_has():
    assert (len(FactorIndex([])), len(FactorIndex(CODES))) == (0, 6)


def test_a_process_row_becomes_a_factor_of_its_gas():
    row = ProcessFactorRow(category="CH4", unit="kg", ef_kg_co2eq_per_unit=29.8)

    assert parsed_factors(row) == (ParsedFactor(70100, 50, {"category": "CH4"}, {"unit": "kg", "ef_kg_co2eq_per_unit": 29.8}),)


def test_an_equipment_row_becomes_a_factor_of_its_category():
    row = EquipmentFactorRow(
        equipment_category="it",
        equipment_class="Laptop",
        sub_class="Pro",
        active_power_w=100,
        standby_power_w=10,
        ef_kg_co2eq_per_kwh=0.1,
    )

    values: dict[str, float | str] = {"active_power_w": 100.0, "standby_power_w": 10.0, "ef_kg_co2eq_per_kwh": 0.1}
    assert parsed_factors(row) == (ParsedFactor(80200, 11, {"equipment_class": "Laptop", "sub_class": "Pro"}, values),)
    assert parsed_factors(row, 11) == parsed_factors(row)
    with pytest.raises(FactorInvalid) as invalid:
        parsed_factors(row, 12)
    assert invalid.value.column == "equipment_category"


def test_a_headcount_row_serves_members_and_students_unless_one_is_named():
    row = HeadcountFactorRow.model_validate(
        {"category": "food", "class": "vegetarian", "number_of_unit_per_fte": 90, "ef_kg_co2eq_per_unit": 0.9}
    )

    values: dict[str, float | str] = {"number_of_unit_per_fte": 90.0, "ef_kg_co2eq_per_unit": 0.9}
    member, student = parsed_factors(row)
    assert member == ParsedFactor(10001, 1, {"category": "food", "class": "vegetarian"}, values)
    assert student == ParsedFactor(10001, 2, {"category": "food", "class": "vegetarian"}, values)
    assert parsed_factors(row, 2) == (student,)


def test_a_headcount_row_of_an_unknown_category_is_invalid():
    row = HeadcountFactorRow(category="sleep", number_of_unit_per_fte=1, ef_kg_co2eq_per_unit=1)

    with pytest.raises(FactorInvalid, match="no emission type"):
        parsed_factors(row)


def test_a_purchase_row_becomes_a_factor_of_its_category():
    row = PurchaseFactorRow(purchase_category="vehicles", purchase_institutional_code="25000000", ef_kg_co2eq_per_currency=0.5)

    assert parsed_factors(row) == (
        ParsedFactor(
            90700, 65, {"purchase_institutional_code": "25000000"}, {"currency": "eur", "ef_kg_co2eq_per_currency": 0.5}
        ),
    )


def test_values_do_not_change_the_identity_of_a_factor():
    before, after = (ParsedFactor(70100, 50, {"category": "CH4"}, {"ef_kg_co2eq_per_unit": value}) for value in (28.0, 29.8))

    assert before.identity == after.identity
    assert before.identity != ParsedFactor(70100, 50, {"category": "ch4"}, {}).identity
