"""Emission types of the modules that are computed here: positional ids, their scopes, and which of them count as IT."""

import re
from collections.abc import Mapping
from types import MappingProxyType

EMISSION_TYPES: Mapping[str, int] = MappingProxyType(
    {
        "food": 10000,
        "food/vegetarian": 10001,
        "food/non_vegetarian": 10002,
        "waste": 20000,
        "waste/incineration": 20001,
        "waste/composting": 20002,
        "waste/biogas": 20003,
        "waste/biogas/organic_waste_food_leftovers": 2000301,
        "waste/biogas/cooking_vegetable_oil": 2000302,
        "waste/recycling": 20004,
        "waste/recycling/paper": 2000401,
        "waste/recycling/cardboard": 2000402,
        "waste/recycling/plastics": 2000403,
        "waste/recycling/glass": 2000404,
        "waste/recycling/ferrous_metals": 2000405,
        "waste/recycling/non_ferrous_metals": 2000406,
        "waste/recycling/electronics": 2000407,
        "waste/recycling/wood": 2000408,
        "waste/recycling/pet": 2000409,
        "waste/recycling/aluminum": 2000410,
        "waste/recycling/textile": 2000411,
        "waste/recycling/toner_and_ink_cartridges": 2000412,
        "waste/recycling/inert_waste": 2000413,
        "commuting": 30000,
        "commuting/walking": 30001,
        "commuting/cycling": 30002,
        "commuting/powered_two_wheeler": 30003,
        "commuting/public_transport": 30004,
        "commuting/car": 30005,
        "process_emissions": 70000,
        "process_emissions/ch4": 70100,
        "process_emissions/co2": 70200,
        "process_emissions/n2o": 70300,
        "process_emissions/refrigerants": 70400,
        "equipment": 80000,
        "equipment/scientific": 80100,
        "equipment/it": 80200,
        "equipment/other": 80300,
        "purchases": 90000,
        "purchases/scientific_equipment": 90200,
        "purchases/it_equipment": 90300,
        "purchases/consumable_accessories": 90400,
        "purchases/biological_chemical_gaseous_product": 90500,
        "purchases/services": 90600,
        "purchases/vehicles": 90700,
        "purchases/other_purchases": 90800,
        "purchases/additional_purchases": 90900,
    }
)

_BY_ENTRY_TYPE = {10: 80100, 11: 80200, 12: 80300, 60: 90200, 61: 90300, 62: 90400, 63: 90500, 64: 90600, 65: 90700, 66: 90800}
_SCOPE_BY_ROOT = {10000: 3, 20000: 3, 30000: 3, 70000: 1, 80000: 2, 90000: 3}
_GREENHOUSE_GAS = re.compile(r"\b(ch4|co2|n2o)\b")
_PROCESS_ENTRY_TYPE = 50


def root_of(emission_type_id: int) -> int:
    """The top-level category, e.g. 2000401 → 20000."""
    six_digits = emission_type_id // 100 if emission_type_id >= 1_000_000 else emission_type_id
    return six_digits // 10_000 * 10_000


def scope_of(emission_type_id: int) -> int:
    """Greenhouse-gas-protocol scope, 1 to 3. Raises KeyError for a category that is not computed here."""
    if emission_type_id // 100 == 909:
        return 1
    return _SCOPE_BY_ROOT[root_of(emission_type_id)]


def is_it(emission_type_id: int) -> bool:
    """True if the emission counts as information technology: IT equipment, IT purchases, cloud and AI."""
    return emission_type_id in (80200, 90300) or root_of(emission_type_id) == 110000


def emission_type_of(data_entry_type_id: int, category: str) -> int:
    """Emission type of an entry with a single one; `category` tells the gas of a process emission. KeyError for other types."""
    if data_entry_type_id != _PROCESS_ENTRY_TYPE:
        return _BY_ENTRY_TYPE[data_entry_type_id]
    gas = _GREENHOUSE_GAS.search(category.lower())
    return EMISSION_TYPES[f"process_emissions/{gas[1] if gas else 'refrigerants'}"]


def headcount_emission_type(*path: str | None) -> int | None:
    """Emission type of a headcount factor's category, class and subclass; None when there is no such type."""
    key = "/".join(part.strip().lower().replace(" ", "_") for part in path if part)
    return EMISSION_TYPES.get(key) if key.startswith(("food", "waste", "commuting")) else None
