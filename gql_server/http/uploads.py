"""POST /uploads: a CSV file or workbook in, streamed to disk and then to where files are kept, with the pipeline that reads it.

With `start=false` the file is only kept, for the mutation `startIngestion`.
"""

import asyncio
import hashlib
import re
import tempfile
from collections.abc import AsyncGenerator
from typing import IO, NoReturn

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from gql_server.carbon.catalog import MODULES, entry_type_named, module_named
from gql_server.carbon.formats import factor_format
from gql_server.carbon.texts import clean
from gql_server.commands.checks import creator
from gql_server.commands.ingestion import Ingestion, authorize, check_format, start_ingestion
from gql_server.db.models import UNNAMED, TargetType
from gql_server.errors import BadInput, ErrorCode, Forbidden, PublicError, Unavailable
from gql_server.files import Files, FileStore, NewUpload, StoreUnavailable
from gql_server.files.store import CHUNK_BYTES
from gql_server.http.answers import headers_of
from gql_server.http.connections import parts
from gql_server.http.cookies import credentials_of
from gql_server.http.head import head_of
from gql_server.http.identity import Authenticate, viewer_of
from gql_server.http.masking import concealed, count_code, counted, public
from gql_server.http.media import is_encoded
from gql_server.http.refusals import STATUS, Refusal
from gql_server.ledger.wakeup import wake_all
from gql_server.policy import OPERATIONS_EDIT, Viewer, may_upload
from gql_server.reads.lanes import Lanes
from gql_server.worker import Registry

PARAMETERS = (
    *("module", "year", "target", "entryType", "unit", "addAgain", "sheet", "decimalMark", "maxRejectedShare", "filename"),
    "start",
)
FORMER_NAMES = {"decimal": "decimalMark"}
"""Parameters that were called otherwise, and still may be."""
TARGETS = {"data": TargetType.DATA_ENTRIES, "factors": TargetType.FACTORS, "reference": TargetType.REFERENCE_DATA}


class Uploads:
    """The endpoint. `authenticate` turns credentials into a viewer or raises Unauthenticated."""

    def __init__(
        self,
        engine: AsyncEngine,
        registry: Registry,
        authenticate: Authenticate,
        max_bytes: int,
        bucket: FileStore | None = None,
        lanes: Lanes | None = None,
    ) -> None:
        self.engine = engine
        self.files = Files(engine, bucket)
        self.registry = registry
        self.authenticate = authenticate
        self.max_bytes = max_bytes
        self.lanes = lanes or Lanes()

    async def post(self, request: Request) -> Response:
        try:
            viewer = await viewer_of(self.authenticate, credentials_of(request.scope))
            if request.headers.get("content-type", "").startswith("multipart/"):
                raise BodyRefused("send the file itself as the body: curl --data-binary @file.csv, not -F", argument="body")
            if is_encoded(head_of(request.scope)):
                raise BodyRefused("send the file as it is, without Content-Encoding", argument="body")
            ingestion = ingestion_from(request.query_params) if starts(request.query_params) else None
            _check(viewer, ingestion)
            return await self._accept(request, viewer, ingestion)
        except PublicError as error:
            return refusal(error)
        except StoreUnavailable as error:
            return refusal(Unavailable(str(error)))
        except Refusal as error:
            return refused(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:
            return failure(error)

    async def _accept(self, request: Request, viewer: Viewer, ingestion: Ingestion | None) -> Response:
        with tempfile.TemporaryFile() as file:
            size, digest = await self._receive(request, file)
            filename = request.query_params.get("filename") or UNNAMED
            upload = NewUpload(
                provider=viewer.provider,
                filename=clean(filename)[:255],
                size_bytes=size,
                sha256=digest,
                created_by=creator(viewer),
            )
            adding = self.files.adding(upload, chunks_of(file))
            async with self.lanes.turns(viewer), adding as (connection, upload_id):
                kept = {"uploadId": str(upload_id), "sizeBytes": size, "sha256": digest}
                if ingestion is None:
                    return JSONResponse(kept, status_code=201)
                submitted = await start_ingestion(connection, self.registry, viewer, ingestion, upload_id)
        await wake_all(self.engine)
        started = {"pipelineId": str(submitted.pipeline_id), "jobId": submitted.job_id}
        return JSONResponse({**kept, **started}, status_code=202)

    async def _receive(self, request: Request, file: IO[bytes]) -> tuple[int, str]:
        """Stream the body to disk; the database is not touched before the last byte is here."""
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self.max_bytes:
            self._refuse_size()
        size, digest = 0, hashlib.sha256()
        async for part in parts(request):
            size += len(part)
            if size > self.max_bytes:
                self._refuse_size()
            digest.update(part)
            await asyncio.to_thread(file.write, part)
        if size == 0:
            raise BadInput("the file is empty", argument="body")
        return size, digest.hexdigest()

    def _refuse_size(self) -> NoReturn:
        raise TooLarge(f"the file is larger than {self.max_bytes // (1024 * 1024)} MiB", limitBytes=self.max_bytes)


class TooLarge(PublicError):
    """The body is over the limit."""

    code = ErrorCode.BAD_USER_INPUT
    status = 413


class BodyRefused(PublicError):
    """A form, whose boundaries would be read as rows, or a file that is compressed on its way."""

    code = ErrorCode.BAD_USER_INPUT
    status = 415


def refusal(error: PublicError) -> Response:
    """An error as the client reads it."""
    count_code(error.code)
    status = getattr(error, "status", None) or STATUS[error.code]
    return JSONResponse({"error": {"message": error.message, **error.extensions}}, status, headers_of([public(error)]))


def refused(error: Refusal) -> Response:
    """A request that is refused for its form as the client reads it."""
    count_code(error.code)
    return JSONResponse({"error": {"message": error.reason, "code": error.code}}, error.status_code, error.headers)


def failure(error: Exception) -> Response:
    """An exception that is not for the client as it reads it; what is hidden is logged."""
    shown = counted([concealed(error)])[0]
    extensions = shown.extensions or {}
    return JSONResponse({"error": {"message": shown.message, **extensions}}, STATUS[extensions["code"]])


async def chunks_of(file: IO[bytes]) -> AsyncGenerator[bytes]:
    """The file from its beginning, in chunks of 1 MiB."""
    await asyncio.to_thread(file.seek, 0)
    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield chunk


def _check_parameters(query: QueryParams) -> None:
    """Raises BadInput for one that is unknown or given twice, as a misspelt `unit` would replace a whole year, or holds NUL."""
    given = [(FORMER_NAMES.get(name, name), value) for name, value in query.multi_items()]
    names = [name for name, _ in given]
    for name, value in given:
        if name not in PARAMETERS:
            raise BadInput(f"unknown parameter {name[:50]!r}; there are: {', '.join(PARAMETERS)}", argument=name[:50])
        if names.count(name) > 1:
            raise BadInput(f"{name} is given more than once", argument=name)
        if "\0" in value:
            raise BadInput(f"{name} must not hold the character NUL", argument=name)


def starts(query: QueryParams) -> bool:
    """True if the file is to be ingested at once. Raises BadInput, also for what would be said of a file that is not."""
    _check_parameters(query)
    start = _flag(query, "start", "true")
    if not start and (said := [name for name in query if name not in ("start", "filename")]):
        raise BadInput(f"with start=false, {said[0]} is said when the ingestion is started", argument=said[0])
    return start


def _flag(query: QueryParams, name: str, default: str) -> bool:
    if (value := query.get(name, default)) not in ("true", "false"):
        raise BadInput(f"{name} must be true or false", argument=name)
    return value == "true"


def _check(viewer: Viewer, ingestion: Ingestion | None) -> None:
    """Raises Forbidden, or BadInput: before the body is read."""
    if ingestion is not None:
        check_format(ingestion, authorize(viewer, ingestion))
    elif not may_upload(viewer):
        raise Forbidden("you may not upload files", permission=OPERATIONS_EDIT)


def ingestion_from(query: QueryParams) -> Ingestion:
    """Ingestion that the query string describes. Raises BadInput."""
    module = module_named(query.get("module", ""))
    if module is None:
        known = ", ".join(module.key for module in MODULES.values() if factor_format(module.id))
        raise BadInput(f"module must be one of: {known}", argument="module")
    year = query.get("year", "")
    if not (year.isascii() and year.isdigit() and len(year) == 4):
        raise BadInput("year must be a number of four digits", argument="year")
    target = TARGETS.get(query.get("target", "data"))
    if target is None:
        raise BadInput("target must be data, factors or reference", argument="target")
    entry_type = None
    if (key := query.get("entryType")) is not None:
        entry_type = entry_type_named(key, module)
        if entry_type is None:
            known = ", ".join(info.key for info in module.data_entry_types)
            raise BadInput(f"entryType must be one of: {known}", argument="entryType")
    return Ingestion(
        year=int(year),
        module_type_id=module.id,
        target=target,
        data_entry_type_id=entry_type.id if entry_type else None,
        unit=query.get("unit"),
        add_again=_flag(query, "addAgain", "false"),
        max_rejected_share=_share(query.get("maxRejectedShare")),
        sheet=query.get("sheet"),
        decimal=_lowered(query.get("decimalMark", query.get("decimal"))),
    )


def _lowered(name: str | None) -> str | None:
    return name and name.lower()


def _share(text: str | None) -> float | None:
    if text is None:
        return None
    if not re.fullmatch(r"0(\.[0-9]{1,9})?|1(\.0{1,9})?", text):
        raise BadInput("maxRejectedShare must be a number between 0 and 1, such as 0.5", argument="maxRejectedShare")
    return float(text)
