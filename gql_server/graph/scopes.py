"""Scopes of work, and its actors: modules, entry types, units, actors."""

from enum import Enum
from typing import Any

import strawberry

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, MODULES
from gql_server.execution import Computed
from gql_server.graph.fields import access, access_sentence, computed, embedded, guarded
from gql_server.graph.nodes import DESCRIPTION, Node, encode


@strawberry.enum(description="How wide the work reaches.")
class ScopeLevel(Enum):
    MODULE_PER_YEAR = strawberry.enum_value("MODULE_PER_YEAR", description="One module of one year, all units.")
    MODULE_UNIT_SPECIFIC = strawberry.enum_value("MODULE_UNIT_SPECIFIC", description="One module of one unit and year.")
    GLOBAL_PER_YEAR = strawberry.enum_value("GLOBAL_PER_YEAR", description="A whole year.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="Not recorded, or a value this server does not know.")


@strawberry.enum(description="Which directory of people and units the row belongs to.")
class Provider(Enum):
    ACCRED = strawberry.enum_value("ACCRED", description="The directory of accreditations.")
    DEFAULT = strawberry.enum_value("DEFAULT", description="The directory that comes with the server.")
    TEST = strawberry.enum_value("TEST", description="A directory for tests.")
    OTHER = strawberry.enum_value("OTHER", description="A directory this server does not know.")


@strawberry.enum(description="Colour family for any status; the label is the client's job (i18n).")
class StatusTone(Enum):
    NEUTRAL = strawberry.enum_value("NEUTRAL", description="Nothing has happened yet.")
    PROGRESS = strawberry.enum_value("PROGRESS", description="Under way.")
    SUCCESS = strawberry.enum_value("SUCCESS", description="Ended well.")
    WARNING = strawberry.enum_value("WARNING", description="Ended, but somebody should look.")
    DANGER = strawberry.enum_value("DANGER", description="Failed.")


@strawberry.enum(description="What sort of actor it was.")
class ActorKind(Enum):
    USER = strawberry.enum_value("USER", description="A person.")
    RUNNER = strawberry.enum_value("RUNNER", description="The runner, continuing a chain.")
    SCHEDULE = strawberry.enum_value("SCHEDULE", description="A schedule.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="Not recorded.")


@strawberry.type(description="A module of the calculator, e.g. buildings.")
class ModuleType(Node):
    id: strawberry.ID = strawberry.field(description=DESCRIPTION)
    type_id: int = strawberry.field(description="Number of the module in the ledger.")
    key: str = strawberry.field(description="Stable key such as `buildings`.")
    node_type: strawberry.Private[str] = "ModuleType"

    @classmethod
    def of(cls, type_id: int | None) -> "ModuleType | None":
        """The module of that number; None when this version does not know it."""
        module = MODULES.get(type_id or 0)
        return module and cls(id=strawberry.ID(encode("ModuleType", module.id)), type_id=module.id, key=module.key)


@strawberry.type(description="A kind of data entry inside a module.")
class DataEntryType(Node):
    id: strawberry.ID = strawberry.field(description=DESCRIPTION)
    type_id: int = strawberry.field(description="Number of the entry type in the ledger.")
    key: str = strawberry.field(description="Stable key such as `member`.")
    node_type: strawberry.Private[str] = "DataEntryType"

    @classmethod
    def of(cls, type_id: int | None) -> "DataEntryType | None":
        """The entry type of that number; None when this version does not know it."""
        info = DATA_ENTRY_TYPES.get(type_id or 0)
        return info and cls(id=strawberry.ID(encode("DataEntryType", info.id)), type_id=info.id, key=info.key)


@strawberry.type(description=f"An organisational unit. {access_sentence('Unit')}", directives=access("Unit"))
class Unit(Node):
    id: strawberry.ID = strawberry.field(description=DESCRIPTION)
    institutional_id: str = strawberry.field(description="Cost-centre-like code used in files and permissions.")
    node_type: strawberry.Private[str] = "Unit"

    @classmethod
    def of(cls, key: str | None) -> "Unit | None":
        """The unit of that key; None without one."""
        return cls(id=strawberry.ID(encode("Unit", key)), institutional_id=key) if key is not None else None


@strawberry.type(description="Who or what started something.")
class Actor:
    actor_kind: ActorKind = strawberry.field(name="kind", description="What sort of actor it was.")
    display_name: str | None = guarded("Actor.displayName", "Name, else email.", "actor_name")
    email: str | None = guarded("Actor.email", "Email address.", "actor_email")


@strawberry.type(description="What a pipeline or job is about.")
class WorkScope:
    level: ScopeLevel = strawberry.field(description="How wide the work reaches.")
    year: int | None = strawberry.field(description="Reporting year.")
    provider: Provider | None = strawberry.field(description="Directory it belongs to.")
    unit: Unit | None = guarded(
        "WorkScope.unit",
        "Only for unit-specific work; for operators, and for who may read that unit.",
        Computed(Unit.of, ("unit_institutional_id",)),
        present="unit_institutional_id",
    )

    module: ModuleType | None = computed(
        ModuleType.of, "module_type_id", description="Module; null for work across modules, or one this server does not know."
    )
    data_entry_type: DataEntryType | None = computed(
        DataEntryType.of, "data_entry_type_id", description="Kind of data entry; null when all of the module are meant."
    )


def scope() -> Any:
    return embedded("What it is about.")
