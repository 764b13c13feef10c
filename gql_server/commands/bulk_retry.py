"""Retrying many pipelines: each is a command of its own, so that what one refuses does not hold up the next."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.commands.execution import Command, Commands
from gql_server.commands.idempotency import Key
from gql_server.commands.retry import retry_pipeline
from gql_server.errors import BadInput, Conflict, Forbidden, NotFound
from gql_server.policy import Viewer

REFUSALS = BadInput, Conflict, Forbidden, NotFound
"""Errors that say something of one pipeline. Any other is of the server, and ends the whole."""


async def retry_each(
    commands: Commands, viewer: Viewer, ids: Iterable[UUID], key: Key | None, *, replace_newer: bool
) -> dict[UUID, Any]:
    """Start the work of each of these pipelines again, in their order. Returns what a submit of each minted, as JSON, or what
    refused it.

    Under a key, what was interrupted is gone on with when it is sent again, and nothing is started twice. Raises BadInput where
    the key was used for other pipelines.
    """
    if key:
        await commands.run(viewer, _nothing, key)
    return {id: await _outcome(commands, viewer, _retry(commands, viewer, id, replace_newer), key and key.of(id)) for id in ids}


def _retry(commands: Commands, viewer: Viewer, id: UUID, replace_newer: bool) -> Command:
    registry, sources = commands.registry, commands.api_sources
    return lambda connection: retry_pipeline(connection, registry, viewer, id, sources, replace_newer=replace_newer)


async def _outcome(commands: Commands, viewer: Viewer, command: Command, key: Key | None) -> Any:
    try:
        return await commands.run(viewer, command, key)
    except REFUSALS as refusal:
        return refusal


async def _nothing(_: AsyncConnection) -> None:
    """Do nothing: what is kept of it is its key."""
