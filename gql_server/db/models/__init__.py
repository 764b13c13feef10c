"""The ledger's tables and the values that they hold, a module a concept. Import them from here."""

from gql_server.db.models.commands import AuditEntry, BulkAbort, IdempotencyKey
from gql_server.db.models.credentials import BrowserSession, ServiceToken
from gql_server.db.models.enums import (
    FILE_JOBS,
    LIVE_STATES,
    READING_JOBS,
    RECALCULATIONS,
    TERMINAL_STATUSES,
    EntityType,
    HistoryKind,
    IngestionMethod,
    JobResult,
    JobState,
    JobType,
    PipelineStatus,
    Provider,
    Storage,
    TargetType,
)
from gql_server.db.models.events import EVENT_RETENTION, Event
from gql_server.db.models.failures import Acknowledgement, FailureGroup
from gql_server.db.models.jobs import Job, RowError
from gql_server.db.models.metadata import (
    NOW,
    TIME_ORDERED_ID,
    Base,
    entity_type_enum,
    ingestion_method_enum,
    job_result_enum,
    job_state_enum,
    provider_enum,
    target_type_enum,
)
from gql_server.db.models.pipelines import JobSignature, Pipeline
from gql_server.db.models.uploads import UNNAMED, Upload, UploadChunk
from gql_server.db.models.views import TriageView
from gql_server.db.models.workers import Pod, Revision
from gql_server.db.models.years import YearConfiguration

__all__ = [
    "EVENT_RETENTION",
    "FILE_JOBS",
    "LIVE_STATES",
    "NOW",
    "READING_JOBS",
    "RECALCULATIONS",
    "TERMINAL_STATUSES",
    "TIME_ORDERED_ID",
    "UNNAMED",
    "Acknowledgement",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "BulkAbort",
    "EntityType",
    "Event",
    "FailureGroup",
    "HistoryKind",
    "IdempotencyKey",
    "IngestionMethod",
    "Job",
    "JobResult",
    "JobSignature",
    "JobState",
    "JobType",
    "Pipeline",
    "PipelineStatus",
    "Pod",
    "Provider",
    "Revision",
    "RowError",
    "ServiceToken",
    "Storage",
    "TargetType",
    "TriageView",
    "Upload",
    "UploadChunk",
    "YearConfiguration",
    "entity_type_enum",
    "ingestion_method_enum",
    "job_result_enum",
    "job_state_enum",
    "provider_enum",
    "target_type_enum",
]
