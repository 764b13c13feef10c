"""Mutations that bring data in, or compute anew what follows from it."""

from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import strawberry
from strawberry import UNSET

from gql_server.commands import ingestion as ingestion_commands
from gql_server.commands import recalculation
from gql_server.commands.ingestion import Ingestion
from gql_server.commands.retry import start_from_job
from gql_server.db import models
from gql_server.graph.context import Info
from gql_server.graph.filters import given
from gql_server.graph.jobs.types import job_key
from gql_server.graph.modules import entry_type_key, entry_type_number, entry_type_of, module_key, module_number, module_of
from gql_server.graph.mutations.payloads import PIPELINE, resolve_start
from gql_server.graph.mutations.resolver import about, argument, idempotency_key, members, mutation
from gql_server.graph.pipelines.types import Pipeline
from gql_server.graph.problems import Problems
from gql_server.graph.scalars import JSON

SHEET = "Sheet of a workbook; needed when several have cells."
DECIMAL_MARK = "Decimal mark of the file's numbers; needed when they can be read in two ways."
MAX_REJECTED_SHARE = (
    "Share of rejected rows, from 0 to 1, above which nothing is replaced; else what the server is set to, usually half."
)


@strawberry.enum(description="What a file is about.")
class IngestionTarget(Enum):
    DATA_ENTRIES = strawberry.enum_value("DATA_ENTRIES", description="Data entries.")
    FACTORS = strawberry.enum_value("FACTORS", description="Emission factors.")
    REFERENCE_DATA = strawberry.enum_value("REFERENCE_DATA", description="Reference data.")


@strawberry.enum(description="What stands between the whole and the fraction of a number.")
class DecimalMark(Enum):
    POINT = strawberry.enum_value("POINT", description="1.5, with commas, apostrophes or spaces between thousands.")
    COMMA = strawberry.enum_value("COMMA", description="1,5, with points, apostrophes or spaces between thousands.")


@strawberry.input(description="An institution's API, if the server has one for the module.")
class ApiSourceInput:
    filters: JSON | None = strawberry.field(
        default=UNSET, description="What to ask it for: an object that the API understands."
    )


@strawberry.input(description="Where the rows come from.", one_of=True)
class IngestionSourceInput:
    upload_id: strawberry.Maybe[UUID] = strawberry.field(
        description="A file that was sent with `POST /uploads?start=false`, which answers its `uploadId`."
    )
    previous_job: strawberry.Maybe[strawberry.ID] = strawberry.field(
        description="Global id of a job that read a file: the same file is read again. The job must have ended in SUCCESS or "
        "WARNING, be of the same module and target, and its file must still be kept."
    )
    api: strawberry.Maybe[ApiSourceInput] = strawberry.field(
        description="The institution's API, for data entries of all units."
    )


@strawberry.input(description="Read a file, or an institution's API, into a module of a year.")
class StartIngestionInput:
    source: IngestionSourceInput = strawberry.field(description="Where the rows come from.")
    year: int = strawberry.field(description="Reporting year; its unit sync must have succeeded.")
    module: str | None = module_key()
    module_type_id: int | None = module_number()
    target: IngestionTarget = strawberry.field(default=IngestionTarget.DATA_ENTRIES, description="What the rows are about.")
    data_entry_type: str | None = entry_type_key(" of all rows; unless each row says its own.")
    data_entry_type_id: int | None = entry_type_number()
    unit_institutional_id: str | None = strawberry.field(
        default=UNSET,
        description="Unit of all rows, for a file of one unit: it adds to what the unit has. The same upload read again "
        "replaces what it brought.",
    )
    add_again: bool = strawberry.field(
        default=False,
        description="Read a file of one unit although another upload of the same bytes was read for it, and add its rows once "
        "more; else that is refused with `ALREADY_INGESTED`.",
    )
    max_rejected_share: float | None = strawberry.field(default=UNSET, description=MAX_REJECTED_SHARE)
    sheet: str | None = strawberry.field(default=UNSET, description=SHEET)
    decimal_mark: DecimalMark | None = strawberry.field(default=UNSET, description=DECIMAL_MARK)
    idempotency_key: UUID | None = idempotency_key()

    def ingestion(self) -> Ingestion:
        return _ingestion(
            self, models.TargetType(self.target.name), unit=self.unit_institutional_id or None, add_again=self.add_again
        )


@strawberry.type(description="The ingestion was submitted.")
class StartIngestionPayload:
    pipeline: Pipeline | None = strawberry.field(description=f"What ingests it. {PIPELINE}")


StartIngestionResult = Annotated[
    StartIngestionPayload | Problems, strawberry.union("StartIngestionResult", description="Outcome of `startIngestion`.")
]


@strawberry.input(description="Read a file of emission factors, and compute anew what they change.")
class UploadFactorsInput:
    upload_id: UUID = strawberry.field(
        description="A file that was sent with `POST /uploads?start=false`, which answers its `uploadId`."
    )
    year: int = strawberry.field(description="Reporting year; its unit sync must have succeeded.")
    module: str | None = module_key()
    module_type_id: int | None = module_number()
    data_entry_type: str | None = entry_type_key(", for factors of that one; else they are common to the module.")
    data_entry_type_id: int | None = entry_type_number()
    max_rejected_share: float | None = strawberry.field(default=UNSET, description=MAX_REJECTED_SHARE)
    sheet: str | None = strawberry.field(default=UNSET, description=SHEET)
    decimal_mark: DecimalMark | None = strawberry.field(default=UNSET, description=DECIMAL_MARK)
    idempotency_key: UUID | None = idempotency_key()

    def ingestion(self) -> Ingestion:
        return _ingestion(self, models.TargetType.FACTORS)


@strawberry.type(description="The factors are being read.")
class UploadFactorsPayload:
    pipeline: Pipeline | None = strawberry.field(description=f"What reads them. {PIPELINE}")


UploadFactorsResult = Annotated[
    UploadFactorsPayload | Problems, strawberry.union("UploadFactorsResult", description="Outcome of `uploadFactors`.")
]


@strawberry.input(description="Compute emissions anew, of one data entry type or of a module.")
class RecalculateInput:
    year: int = strawberry.field(description="Reporting year; its unit sync must have succeeded.")
    module: str | None = module_key()
    module_type_id: int | None = module_number()
    data_entry_type: str | None = entry_type_key("; else all of the module.")
    data_entry_type_id: int | None = entry_type_number()
    only_stale: bool = strawberry.field(
        default=False, description="Only those whose factors are newer than their emissions; refused when there are none."
    )
    idempotency_key: UUID | None = idempotency_key()


@strawberry.type(description="The recalculation was submitted.")
class RecalculatePayload:
    pipeline: Pipeline | None = strawberry.field(description=f"What recalculates. {PIPELINE}")


RecalculateResult = Annotated[
    RecalculatePayload | Problems, strawberry.union("RecalculateResult", description="Outcome of `recalculate`.")
]


@strawberry.type
class IngestionMutation:
    @mutation("Mutation.startIngestion", "Read a file, or an institution's API, into a module of a year.")
    async def start_ingestion(
        self, info: Info, input: Annotated[StartIngestionInput, argument("What to read, and what it is about.")]
    ) -> StartIngestionResult | None:
        return await resolve_start(info, input, lambda connection: _start(info, input, connection), StartIngestionPayload)

    @mutation("Mutation.uploadFactors", "Read a file of emission factors, and compute anew what they change.")
    async def upload_factors(
        self, info: Info, input: Annotated[UploadFactorsInput, argument("Which file, and what it is about.")]
    ) -> UploadFactorsResult | None:
        context = info.context
        return await resolve_start(
            info,
            input,
            lambda connection: ingestion_commands.start_ingestion(
                connection, context.commands.registry, context.viewer, input.ingestion(), input.upload_id
            ),
            UploadFactorsPayload,
        )

    @mutation("Mutation.recalculate", "Compute emissions anew, of one data entry type or of a module.")
    async def recalculate(
        self, info: Info, input: Annotated[RecalculateInput, argument("Of what.")]
    ) -> RecalculateResult | None:
        context = info.context
        return await resolve_start(
            info,
            input,
            lambda connection: recalculation.recalculate(
                connection,
                context.commands.registry,
                context.viewer,
                input.year,
                module_of(input),
                data_entry_type_id=entry_type_of(input),
                only_stale=input.only_stale,
            ),
            RecalculatePayload,
        )


def _ingestion(
    input: StartIngestionInput | UploadFactorsInput,
    target: models.TargetType,
    *,
    unit: str | None = None,
    add_again: bool = False,
) -> Ingestion:
    return Ingestion(
        year=input.year,
        module_type_id=module_of(input),
        target=target,
        data_entry_type_id=entry_type_of(input),
        unit=unit,
        add_again=add_again,
        max_rejected_share=given(input.max_rejected_share),
        sheet=given(input.sheet),
        decimal=input.decimal_mark.name.lower() if input.decimal_mark else None,
    )


async def _start(info: Info, input: StartIngestionInput, connection: Any) -> object:
    context, source = info.context, input.source
    common = (connection, context.commands.registry, context.viewer, input.ingestion())
    if source.upload_id is not None:
        return await ingestion_commands.start_ingestion(*common, source.upload_id.value)
    if source.previous_job is not None:
        with about("source"):
            job_id = job_key(source.previous_job.value)
        return await start_from_job(*common, job_id)
    assert source.api is not None
    filters = members(source.api.value.filters, "source", "/api/filters")
    return await ingestion_commands.start_api_ingestion(*common, context.commands.api_sources, filters)
