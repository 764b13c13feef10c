"""GET /jobs/{jobId}/source: the file that a job has read, as it was uploaded."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import IO
from urllib.parse import quote
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gql_server.commands.sources import source_of
from gql_server.errors import NotFound, PublicError, Unavailable
from gql_server.files import Files, FileStore, StoreUnavailable
from gql_server.files.store import FileMissing
from gql_server.http.cookies import credentials_of
from gql_server.http.identity import Authenticate, viewer_of
from gql_server.http.uploads import chunks_of, failure, refusal


class Sources:
    """The endpoint. `authenticate` turns credentials into a viewer or raises Unauthenticated."""

    def __init__(self, engine: AsyncEngine, authenticate: Authenticate, bucket: FileStore | None = None) -> None:
        self.engine = engine
        self.files = Files(engine, bucket)
        self.authenticate = authenticate

    async def get(self, request: Request) -> Response:
        try:
            viewer = await viewer_of(self.authenticate, credentials_of(request.scope))
            async with self.engine.connect() as connection:
                source = await source_of(connection, viewer, request.path_params["job_id"])
            file = await self._copy(source.upload_id)
        except FileMissing as error:
            return refusal(NotFound(str(error)))
        except StoreUnavailable as error:
            return refusal(Unavailable(str(error)))
        except PublicError as error:
            return refusal(error)
        except Exception as error:
            return failure(error)
        return StreamingResponse(_sent(file), media_type="text/csv", headers=_headers(source.filename))

    async def _copy(self, upload_id: UUID) -> IO[bytes]:
        """On disk, so that a slow client holds no connection to the database."""
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when it has been sent
        try:
            async with aclosing(self.files.open(upload_id)) as chunks:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
        except BaseException:
            file.close()
            raise
        return file


async def _sent(file: IO[bytes]) -> AsyncGenerator[bytes]:
    with file:
        async for chunk in chunks_of(file):
            yield chunk


def _headers(filename: str) -> dict[str, str]:
    """A download under its own name (RFC 6266), which a browser never shows or runs."""
    return {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
