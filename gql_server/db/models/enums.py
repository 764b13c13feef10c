"""Values that tables hold, and the sets of them that rules speak of."""

from enum import StrEnum


class JobState(StrEnum):
    """Lifecycle of a job. The first three are *live*."""

    NOT_STARTED = "NOT_STARTED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"


class JobResult(StrEnum):
    """Verdict of a finished job."""

    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    ERROR = "ERROR"


class PipelineStatus(StrEnum):
    """Verdict of a pipeline, recomputed from its jobs and stored, never counted up."""

    NOT_STARTED = "NOT_STARTED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"


class EntityType(StrEnum):
    """Level of the work: one unit, one module, or a whole year."""

    MODULE_PER_YEAR = "MODULE_PER_YEAR"
    MODULE_UNIT_SPECIFIC = "MODULE_UNIT_SPECIFIC"
    GLOBAL_PER_YEAR = "GLOBAL_PER_YEAR"


class IngestionMethod(StrEnum):
    """Way in which the data arrived. Members are lower case in storage, as they always were."""

    API = "api"
    CSV = "csv"
    MANUAL = "manual"
    COMPUTED = "computed"


class TargetType(StrEnum):
    """Kind of data that a job writes."""

    DATA_ENTRIES = "DATA_ENTRIES"
    FACTORS = "FACTORS"
    REDUCTION_OBJECTIVES = "REDUCTION_OBJECTIVES"
    REFERENCE_DATA = "REFERENCE_DATA"


class Provider(StrEnum):
    """Directory of people and units a row belongs to: the tenant boundary."""

    ACCRED = "ACCRED"
    DEFAULT = "DEFAULT"
    TEST = "TEST"


class JobType(StrEnum):
    """Job types this version ships; the column is text, so that a newer version's types can be shown."""

    CSV_INGEST = "csv_ingest"
    API_INGEST = "api_ingest"
    FACTOR_INGEST = "factor_ingest"
    REFERENCE_INGEST = "reference_ingest"
    UNIT_SYNC = "unit_sync"
    EMISSION_RECALC = "emission_recalc"
    MODULE_EMISSION_RECALC = "module_emission_recalc"
    AGGREGATION = "aggregation"


class Storage(StrEnum):
    """Place of an upload's bytes."""

    DATABASE = "database"
    BUCKET = "bucket"


class HistoryKind(StrEnum):
    """Kind of an entry in a job's `status_history`. An entry without a kind is progress."""

    CLAIMED = "CLAIMED"
    RETRIED = "RETRIED"
    RECOVERED = "RECOVERED"
    FINISHED = "FINISHED"
    ABORTED = "ABORTED"


FILE_JOBS = (JobType.CSV_INGEST, JobType.FACTOR_INGEST, JobType.REFERENCE_INGEST)
READING_JOBS = (*FILE_JOBS, JobType.API_INGEST)
RECALCULATIONS = (JobType.EMISSION_RECALC, JobType.MODULE_EMISSION_RECALC)
LIVE_STATES = (JobState.NOT_STARTED, JobState.QUEUED, JobState.RUNNING)
TERMINAL_STATUSES = (PipelineStatus.SUCCESS, PipelineStatus.PARTIAL, PipelineStatus.FAILED)
