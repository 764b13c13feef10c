"""Types of the columns of each CSV file; blank cells are absent."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from gql_server.carbon.numbers import PLAIN

HOURS_PER_WEEK = 168


def _plain(cell: object) -> object:
    """Raises ValueError for what Python would read as a number and people would not, like 1_000."""
    if isinstance(cell, str) and not PLAIN.fullmatch(cell):
        raise ValueError("Input must be a number")
    return cell


Number = Annotated[float, BeforeValidator(_plain), Field(ge=0, allow_inf_nan=False)]
Amount = Annotated[Number, Field(le=1e12)]
Hours = Annotated[Number, Field(le=HOURS_PER_WEEK)]
Share = Annotated[Number, Field(le=1)]
SiusCode = Literal["51", "52", "53", "54", "56", "57", "58", "59"]
Currency = Annotated[
    Literal["aud", "cad", "chf", "cny", "eur", "gbp", "jpy", "sek", "usd"],
    BeforeValidator(lambda cell: cell.lower() if isinstance(cell, str) else cell),
]
EquipmentCategory = Literal["scientific", "it", "other"]
PurchaseCategory = Literal[
    "scientific_equipment",
    "it_equipment",
    "consumable_accessories",
    "biological_chemical_gaseous_product",
    "services",
    "vehicles",
    "other_purchases",
]


class FileRow(BaseModel):
    """The cells of one row, without its unit."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_max_length=2000)

    category_column: ClassVar[str | None] = None
    other_names: ClassVar[Mapping[str, str]] = {}
    """Columns by other names that files have for them."""
    descriptive: ClassVar[frozenset[str]] = frozenset(
        {
            "note",
            "supplier",
            "position_title",
            "position_category",
            "purchase_institutional_description",
            "equipment_id",
            "unit",
        }
    )
    """Columns from which no value follows, in any file that has them."""

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """All columns."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())

    @classmethod
    def required_columns(cls) -> tuple[str, ...]:
        """Columns that may not be blank."""
        return tuple(field.alias or name for name, field in cls.model_fields.items() if field.is_required())

    @classmethod
    def number_columns(cls) -> frozenset[str]:
        """Columns that hold numbers."""
        return frozenset(field.alias or name for name, field in cls.model_fields.items() if _is_number(field.annotation))


def _is_number(annotation: Any) -> bool:
    return annotation is float or any(_is_number(part) for part in get_args(annotation))


class ProcessRow(FileRow):
    """A gas released by an experiment; quantity in the factor's unit."""

    category: str
    subcategory: str | None = None
    quantity: Amount
    note: str | None = None


class MemberRow(FileRow):
    """A person employed by the unit; fte is the share of a full-time job in the year."""

    name: str
    sius_code: SiusCode
    user_institutional_id: str | None = None
    fte: Share
    position_title: str | None = None
    position_category: str | None = None
    note: str | None = None


class StudentRow(FileRow):
    """Students of the unit, in full-time equivalents."""

    fte: Amount
    note: str | None = None


class WeeklyUse(FileRow):
    """Hours per week a machine is active and on standby."""

    active_usage_hours_per_week: Hours | None = None
    standby_usage_hours_per_week: Hours | None = None

    @field_validator("standby_usage_hours_per_week")
    @classmethod
    def fits_into_a_week(cls, standby: float | None, info: ValidationInfo) -> float | None:
        active = info.data.get("active_usage_hours_per_week") or 0.0
        if (hours := active + (standby or 0.0)) > HOURS_PER_WEEK:
            raise ValueError(f"active and standby hours add up to {hours:g}, more than {HOURS_PER_WEEK} a week")
        return standby


class EquipmentRow(WeeklyUse):
    """A machine; blank hours mean the factor's."""

    category_column: ClassVar[str | None] = "equipment_category"

    equipment_id: str | None = None
    name: str
    equipment_category: EquipmentCategory | None = None
    equipment_class: str
    sub_class: str | None = None
    note: str | None = None


class PurchaseRow(FileRow):
    """Money spent; the amount is the total, whatever the quantity."""

    category_column: ClassVar[str | None] = "purchase_category"
    descriptive: ClassVar[frozenset[str]] = FileRow.descriptive | {"quantity"}

    name: str
    supplier: str | None = None
    quantity: Amount | None = None
    purchase_category: PurchaseCategory | None = None
    purchase_institutional_code: str
    purchase_additional_code: str | None = None
    total_spent_amount: Amount
    currency: Currency = "chf"
    note: str | None = None


class ProcessFactorRow(FileRow):
    """kg CO2-eq per unit of a gas."""

    category: str
    subcategory: str | None = None
    unit: str | None = None
    ef_kg_co2eq_per_unit: Amount


class EquipmentFactorRow(WeeklyUse):
    """Watts of a class of machines, its usual hours, and kg CO2-eq per kWh."""

    equipment_category: EquipmentCategory
    equipment_class: str
    sub_class: str | None = None
    active_power_w: Amount
    standby_power_w: Amount
    ef_kg_co2eq_per_kwh: Amount


class HeadcountFactorRow(FileRow):
    """Amount that one full-time person uses a year, and kg CO2-eq per unit of it."""

    other_names: ClassVar[Mapping[str, str]] = {
        "headcount_category": "category",
        "headcount_class": "class",
        "headcount_subclass": "subclass",
    }

    category: str
    class_: str | None = Field(default=None, alias="class")
    subclass: str | None = None
    unit: str | None = None
    number_of_unit_per_fte: Amount
    ef_kg_co2eq_per_unit: Amount


class PurchaseFactorRow(FileRow):
    """kg CO2-eq per unit of currency, by codes; a row without additional code is the average of its institutional code."""

    currency: Currency = "eur"
    purchase_category: PurchaseCategory
    purchase_institutional_code: str
    purchase_institutional_description: str | None = None
    purchase_additional_code: str | None = None
    ef_kg_co2eq_per_currency: Amount


class ExchangeRateRow(FileRow):
    """Units of a currency for one euro, and who says so."""

    currency: Currency
    per_eur: Annotated[float, BeforeValidator(_plain), Field(gt=0, le=1e9, allow_inf_nan=False)]
    source: str

    @field_validator("per_eur")
    @classmethod
    def a_euro_is_a_euro(cls, per_eur: float, info: ValidationInfo) -> float:
        if info.data.get("currency") == "eur" and per_eur != 1:
            raise ValueError("the rate of eur is 1")
        return per_eur


FactorRow = ProcessFactorRow | EquipmentFactorRow | HeadcountFactorRow | PurchaseFactorRow
