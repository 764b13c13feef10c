"""POST /uploads: a CSV file in, streamed to disk and then into the ledger, with the pipeline that ingests it."""

import asyncio
import hashlib
import tempfile
from collections.abc import Callable
from typing import IO, NoReturn
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from gql_server.carbon.catalog import MODULES, entry_type_by_key, module_by_key
from gql_server.commands.gate import creator
from gql_server.commands.ingestion import Ingestion, authorize, start_ingestion
from gql_server.errors import BadInput, ErrorCode, PublicError
from gql_server.models import TargetType, Upload, UploadChunk
from gql_server.policy import Viewer
from gql_server.runner import Registry
from gql_server.runner.wakeup import wake_all

CHUNK_BYTES = 1024 * 1024
TARGETS = {"data": TargetType.DATA_ENTRIES, "factors": TargetType.FACTORS}
STATUS_OF = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.UNAVAILABLE: 503,
}


class Uploads:
    """The endpoint. `authenticate` turns an Authorization header into a viewer or raises Unauthenticated."""

    def __init__(
        self, engine: AsyncEngine, registry: Registry, authenticate: Callable[[str | None], Viewer], max_bytes: int
    ) -> None:
        self.engine = engine
        self.registry = registry
        self.authenticate = authenticate
        self.max_bytes = max_bytes

    async def post(self, request: Request) -> Response:
        try:
            viewer = self.authenticate(request.headers.get("authorization"))
            ingestion = ingestion_from(request.query_params)
            authorize(viewer, ingestion)
            return await self._accept(request, viewer, ingestion)
        except PublicError as error:
            status = 413 if isinstance(error, TooLarge) else STATUS_OF.get(error.code, 400)
            return JSONResponse({"error": {"message": error.message, **error.extensions}}, status)
        except ClientDisconnect:
            return Response(status_code=400)

    async def _accept(self, request: Request, viewer: Viewer, ingestion: Ingestion) -> Response:
        with tempfile.TemporaryFile() as file:
            size, digest = await self._receive(request, file)
            async with self.engine.begin() as connection:
                filename = request.query_params.get("filename") or "upload.csv"
                upload_id = await self._store(connection, file, viewer, filename[:255], size, digest)
                submitted = await start_ingestion(connection, self.registry, viewer, ingestion, upload_id)
        await wake_all(self.engine)
        return JSONResponse(
            {
                "uploadId": str(upload_id),
                "pipelineId": str(submitted.pipeline_id),
                "jobId": submitted.job_id,
                "sizeBytes": size,
                "sha256": digest,
            },
            status_code=202,
        )

    async def _receive(self, request: Request, file: IO[bytes]) -> tuple[int, str]:
        """Stream the body to disk; the database is not touched before the last byte is here."""
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self.max_bytes:
            self._refuse_size()
        size, digest = 0, hashlib.sha256()
        async for part in request.stream():
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

    async def _store(
        self, connection: AsyncConnection, file: IO[bytes], viewer: Viewer, filename: str, size: int, digest: str
    ) -> UUID:
        values = {
            "provider": viewer.provider,
            "filename": filename,
            "size_bytes": size,
            "sha256": digest,
            "created_by": creator(viewer),
        }
        upload_id = await connection.scalar(insert(Upload).values(values).returning(Upload.id))
        assert upload_id is not None
        file.seek(0)
        seq = 0
        while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
            await connection.execute(insert(UploadChunk).values(upload_id=upload_id, seq=seq, data=data))
            seq += 1
        return upload_id


class TooLarge(PublicError):
    """The body is over the limit."""

    code = ErrorCode.BAD_USER_INPUT


def ingestion_from(query: QueryParams) -> Ingestion:
    """What the query string says of the file: module, year, target (data or factors), entryType, unit. Raises BadInput."""
    module = module_by_key(query.get("module", ""))
    if module is None:
        known = ", ".join(module.key for module in MODULES.values())
        raise BadInput(f"module must be one of: {known}", argument="module")
    year = query.get("year", "")
    if not (year.isascii() and year.isdigit() and len(year) == 4):
        raise BadInput("year must be a number of four digits", argument="year")
    target = TARGETS.get(query.get("target", "data"))
    if target is None:
        raise BadInput("target must be data or factors", argument="target")
    entry_type = None
    if (key := query.get("entryType")) is not None:
        entry_type = entry_type_by_key(module.id, key)
        if entry_type is None:
            known = ", ".join(info.key for info in module.data_entry_types)
            raise BadInput(f"entryType must be one of: {known}", argument="entryType")
    return Ingestion(
        year=int(year),
        module_type_id=module.id,
        target=target,
        data_entry_type_id=entry_type.id if entry_type else None,
        unit=query.get("unit"),
    )
