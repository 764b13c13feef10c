"""Removes the bytes of uploads that nothing needs any more. Their rows stay: jobs refer to them."""

from datetime import timedelta

import structlog
from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db.models import Storage, Upload
from gql_server.files.database import DatabaseStore
from gql_server.files.store import FileStore
from gql_server.files.uploads import Files

UNUSED_FOR = timedelta(days=1)
MOST = 100

log = structlog.get_logger(__name__)

# Locked against a job that is about to refer to one: its foreign key waits for this transaction.
_OLD = text("""
SELECT u.id FROM uploads u
WHERE u.pruned_at IS NULL AND u.storage = :storage
  AND u.created_at < clock_timestamp() - least(CAST(:retention AS interval), CAST(:unused AS interval))
  AND u.created_at < clock_timestamp() - CASE WHEN EXISTS (SELECT FROM data_ingestion_jobs j WHERE j.upload_id = u.id)
    THEN CAST(:retention AS interval) ELSE CAST(:unused AS interval) END
  AND NOT EXISTS (SELECT FROM data_ingestion_jobs j WHERE j.upload_id = u.id AND j.state IS DISTINCT FROM 'FINISHED')
ORDER BY u.created_at LIMIT :most
FOR UPDATE SKIP LOCKED
""")

# Asked again once they are locked: a job may have come between the look and the lock.
_UNNEEDED = text("""
SELECT u.id FROM uploads u
WHERE u.id = ANY(:ids)
  AND NOT EXISTS (SELECT FROM data_ingestion_jobs j WHERE j.upload_id = u.id AND j.state IS DISTINCT FROM 'FINISHED')
""")


async def prune(files: Files, retention: timedelta, *, most: int = MOST) -> int:
    """Remove the bytes of uploads older than `retention` whose jobs are all FINISHED, and of those a day old that no job
    ever referred to; at most `most` of each storage. Returns how many. Raises StoreUnavailable.

    Bytes go before the row is marked, in one transaction: what is interrupted is done again.
    """
    pruned = 0
    async with files.engine.begin() as connection:
        pruned += await _prune(connection, Storage.DATABASE, DatabaseStore(connection), retention, most)
    if files.bucket is not None:
        async with files.engine.begin() as connection:
            pruned += await _prune(connection, Storage.BUCKET, files.bucket, retention, most)
    if pruned:
        log.info("files.pruned", uploads=pruned)
    return pruned


async def _prune(connection: AsyncConnection, storage: Storage, store: FileStore, retention: timedelta, most: int) -> int:
    limits = {"storage": storage.value, "retention": retention, "unused": UNUSED_FOR, "most": most}
    old = list((await connection.scalars(_OLD, limits)).all())
    ids = list((await connection.scalars(_UNNEEDED, {"ids": old})).all()) if old else []
    if ids:
        await store.delete(ids)
        await connection.execute(update(Upload).where(Upload.id.in_(ids)).values(pruned_at=func.clock_timestamp()))
    return len(ids)
