"""The table that a job was uploaded for: opened off the event loop, and read in chunks."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

from gql_server.carbon.numbers import DECIMALS
from gql_server.carbon.recognition import FILE_KINDS
from gql_server.carbon.refusals import FileRefused
from gql_server.carbon.tablefile import FileTable
from gql_server.worker import ClaimedJob, JobError, Run

NumberedRow = tuple[int, dict[str, str]]


@asynccontextmanager
async def uploaded_table(
    job: ClaimedJob, run: Run, open: Callable[..., FileTable], *args: Any, **options: Any
) -> AsyncGenerator[FileTable]:
    """The job's file as `open(path, *args, sheet=, decimal=, kinds=)` reads it, whose refusals end the job with what had been
    found out about the file; the sheet and the decimal mark are those that the upload named."""
    decimal = DECIMALS.get(job.config.get("decimal", ""))
    async with run.uploaded_file() as path:
        try:
            told = {"sheet": job.config.get("sheet"), "decimal": decimal, "kinds": FILE_KINDS}
            table = await asyncio.to_thread(open, path, *args, **told, **options)
        except FileRefused as refused:
            raise JobError(str(refused)) from None
        try:
            yield table
        except FileRefused as refused:
            raise JobError(str(refused), reading=table.reading) from None
        except JobError as error:
            error.meta.setdefault("reading", table.reading)
            raise
        finally:
            table.close()


async def chunks_of(table: FileTable, size: int) -> AsyncGenerator[list[NumberedRow]]:
    """Its rows, read off the event loop. Raises FileRefused."""
    numbered = iter(table)
    while chunk := await asyncio.to_thread(lambda: list(islice(numbered, size))):
        yield chunk
