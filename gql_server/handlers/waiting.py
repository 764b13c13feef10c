"""Entries that were kept without a factor: matched as at ingest once it has come, so that they are computed like any other."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.carbon.factors import NO_FACTOR_KEY, AmbiguousFactor, FactorIndex
from gql_server.db import dumps
from gql_server.handlers.factors import factor_index

BATCH_ENTRIES = 5_000
SLICE = """
provider = :provider AND year = :year AND data_entry_type_id = :data_entry_type_id
AND (CAST(:modules AS int[]) IS NULL OR carbon_report_module_id = ANY(:modules))
"""
_WAITING = text(
    f"SELECT id, data FROM data_entries WHERE {SLICE} AND data ? '{NO_FACTOR_KEY}' AND id > :after ORDER BY id LIMIT :most"
)
_SETTLE = text("""
UPDATE data_entries SET data = s.data::jsonb
FROM unnest(CAST(:ids AS bigint[]), CAST(:data AS text[])) AS s(id, data) WHERE data_entries.id = s.id
""")


async def settle(connection: AsyncConnection, place: Mapping[str, Any]) -> None:
    """Match those entries of an entry type that wait. Which factor is theirs is written down in its spelling."""
    factors: FactorIndex | None = None
    after = 0
    while entries := (await connection.execute(_WAITING, {**place, "after": after, "most": BATCH_ENTRIES})).all():
        after = entries[-1].id
        if factors is None:
            factors = await factor_index(
                connection, place["provider"], place["year"], [place["data_entry_type_id"]], ignore_case=True
            )
        settled = await asyncio.to_thread(_settled, entries, place["data_entry_type_id"], factors)
        if settled:
            await connection.execute(_SETTLE, {"ids": list(settled), "data": [dumps(data) for data in settled.values()]})


def _settled(entries: Sequence[Row[Any]], data_entry_type_id: int, factors: FactorIndex) -> dict[int, dict[str, object]]:
    """New data of the entries that have found a factor. One for which several match is told of when it is computed."""
    found: dict[int, dict[str, object]] = {}
    for entry in entries:
        try:
            data = factors.settle(data_entry_type_id, entry.data)
        except AmbiguousFactor:
            continue
        if data != entry.data:
            found[entry.id] = data
    return found
