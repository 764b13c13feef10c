"""Sums of a module in a year, as a client sees them."""

from datetime import datetime
from enum import Enum

import strawberry


@strawberry.enum(description="Why a data entry has no emission.")
class EmissionLack(Enum):
    MISSING_FACTOR = strawberry.enum_value("MISSING_FACTOR", description="There is no emission factor for it yet.")
    MISSING_EXCHANGE_RATE = strawberry.enum_value(
        "MISSING_EXCHANGE_RATE", description="Nobody said at which rate of its year its money is converted."
    )
    INVALID_VALUE = strawberry.enum_value("INVALID_VALUE", description="Something in it cannot be computed with.")
    NOT_COMPUTED = strawberry.enum_value("NOT_COMPUTED", description="It was not computed: its recalculation failed.")


@strawberry.type(description="Data entries that have no emission for the same reason.")
class EntriesWithoutEmission:
    reason: EmissionLack = strawberry.field(description="What they lack.")
    entry_count: int = strawberry.field(description="How many they are.")


@strawberry.type(
    description="What a module adds up to in a year, in kilograms of CO2-equivalents: over all units for who sees the module "
    "as a whole, else over the units of which you may view it. As the last aggregations stored it: `freshness` says whether it "
    "is what is there."
)
class ModuleTotals:
    kg_co2eq: float = strawberry.field(name="kgCo2eq", description="All emissions.")
    scope1_kg_co2eq: float = strawberry.field(name="scope1KgCo2eq", description="Direct ones (scope 1).")
    scope2_kg_co2eq: float = strawberry.field(name="scope2KgCo2eq", description="From energy that was bought (scope 2).")
    scope3_kg_co2eq: float = strawberry.field(name="scope3KgCo2eq", description="All other indirect ones (scope 3).")
    it_kg_co2eq: float = strawberry.field(name="itKgCo2eq", description="Of information technology, in whichever scope.")
    entry_count: int = strawberry.field(description="Data entries, those without an emission among them.")
    entries_without_emission: int = strawberry.field(
        description="How many of those have no emission, and are in no total: what is missing makes the totals too low."
    )
    without_emission: list[EntriesWithoutEmission] = strawberry.field(description="The same by reason; empty if all have one.")
    unit_count: int = strawberry.field(description="Units that have such entries.")
    computed_at: datetime = strawberry.field(description="When the newest of these totals was computed.")
