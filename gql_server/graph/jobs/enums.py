"""Enums of jobs."""

from enum import Enum

import strawberry


@strawberry.enum(description="Lifecycle state of a job.")
class JobState(Enum):
    NOT_STARTED = strawberry.enum_value("NOT_STARTED", description="Waits to be claimed.")
    QUEUED = strawberry.enum_value("QUEUED", description="Waits to be claimed; this server does not write it.")
    RUNNING = strawberry.enum_value("RUNNING", description="A worker holds it.")
    FINISHED = strawberry.enum_value("FINISHED", description="Ended; read `result`.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="Not recorded, or a value this server does not know.")


@strawberry.enum(description="Outcome of a finished job; null before that.")
class JobResult(Enum):
    SUCCESS = strawberry.enum_value("SUCCESS", description="Everything landed.")
    WARNING = strawberry.enum_value("WARNING", description="It landed, but something was left out.")
    ERROR = strawberry.enum_value("ERROR", description="Nothing of it landed.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="A value this server does not know.")


@strawberry.enum(description="Kind of work. `OTHER` means: read `kindRaw`.")
class JobKind(Enum):
    CSV_INGEST = strawberry.enum_value("CSV_INGEST", description="Reads an uploaded file into data entries.")
    API_INGEST = strawberry.enum_value("API_INGEST", description="Reads another system into data entries.")
    FACTOR_INGEST = strawberry.enum_value("FACTOR_INGEST", description="Reads an uploaded file into emission factors.")
    REFERENCE_INGEST = strawberry.enum_value("REFERENCE_INGEST", description="Reads an uploaded file into reference data.")
    UNIT_SYNC = strawberry.enum_value("UNIT_SYNC", description="Brings units and people in, and prepares a year.")
    ROLE_SYNC = strawberry.enum_value("ROLE_SYNC", description="Brings roles in.")
    EMISSION_RECALC = strawberry.enum_value("EMISSION_RECALC", description="Recomputes the emissions of one entry type.")
    MODULE_EMISSION_RECALC = strawberry.enum_value("MODULE_EMISSION_RECALC", description="Recomputes those of a module.")
    AGGREGATION = strawberry.enum_value("AGGREGATION", description="Rolls emissions up per module, unit and year.")
    OTHER = strawberry.enum_value("OTHER", description="A kind this server does not know.")


@strawberry.enum(description="How the data arrived.")
class IngestionMethod(Enum):
    API = strawberry.enum_value("API", description="From another system.")
    CSV = strawberry.enum_value("CSV", description="In an uploaded file.")
    MANUAL = strawberry.enum_value("MANUAL", description="By hand.")
    COMPUTED = strawberry.enum_value("COMPUTED", description="Computed from what is there.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="A value this server does not know.")


@strawberry.enum(description="What the job writes.")
class TargetType(Enum):
    DATA_ENTRIES = strawberry.enum_value("DATA_ENTRIES", description="Data entries and what is computed from them.")
    FACTORS = strawberry.enum_value("FACTORS", description="Emission factors.")
    REDUCTION_OBJECTIVES = strawberry.enum_value("REDUCTION_OBJECTIVES", description="Goals of a year.")
    REFERENCE_DATA = strawberry.enum_value("REFERENCE_DATA", description="Units, people and other reference data.")
    UNKNOWN = strawberry.enum_value("UNKNOWN", description="A value this server does not know.")
