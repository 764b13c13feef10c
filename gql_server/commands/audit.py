"""The audit log: who asked for what, when, and what it changed, in the transaction that changed it."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import insert, null
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.commands.checks import creator
from gql_server.db.models import AuditEntry
from gql_server.policy import Viewer

ABSENT = object()


async def record(
    connection: AsyncConnection,
    viewer: Viewer,
    command: str,
    target: Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Add one entry. `target` names what the command was about, `changes` are those of `difference`."""
    await record_all(connection, viewer, command, [target], changes)


async def record_all(
    connection: AsyncConnection,
    viewer: Viewer,
    command: str,
    targets: Sequence[Mapping[str, Any]],
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Add one entry for each target."""
    common = {"provider": viewer.provider, "actor": creator(viewer), "command": command}
    entries = [{**common, "target": target, "changes": null() if changes is None else changes} for target in targets]
    await connection.execute(insert(AuditEntry).values(entries))


def difference(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> dict[str, dict[str, Any]]:
    """Fields that differ, by JSON Pointer, each with its value `before` and `after`; one that is absent has none."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted({*before, *after}):
        pointer = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= difference(cast(Mapping[str, Any], old), cast(Mapping[str, Any], new), pointer)
        elif old != new:
            sides = {"before": old, "after": new}
            found[pointer] = {side: value for side, value in sides.items() if value is not ABSENT}
    return found
