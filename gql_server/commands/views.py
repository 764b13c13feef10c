"""Saving an operation for oneself, or for everyone of the provider."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, delete, func, insert, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.commands import audit
from gql_server.commands.checks import creator
from gql_server.db import dumps
from gql_server.db.models import NOW, TriageView
from gql_server.errors import BadInput, Conflict, Forbidden, NotFound, RefusalReason
from gql_server.policy import OPERATIONS_VIEW, VIEWS_EDIT, Viewer, view_clause

OWNER = "view.isOwner"
NAME_LENGTH = 100
DESCRIPTION_LENGTH = 2000
DOCUMENT_LENGTH = 16_384
VARIABLES_BYTES = 64 * 1024
VIEWS_OF_ONE = 200
BYTES_OF_ONE = 512 * 1024
"""Of all views of one owner, together."""

V = TriageView


@dataclass(frozen=True, slots=True, kw_only=True)
class NewView:
    """A view as it shall be. The document has been checked."""

    name: str
    description: str | None
    document: str
    variables: Mapping[str, Any] | None
    is_shared: bool


async def save_view(connection: AsyncConnection, viewer: Viewer, view: NewView, replaced: UUID | None = None) -> UUID:
    """Create a view, or replace one of the viewer's own. Returns its id.

    Raises BadInput, NotFound, Forbidden (without permission to save, or to share, or of another's view), or Conflict.
    """
    _check_permission(viewer)
    _check(view)
    if view.is_shared and not viewer.may(OPERATIONS_VIEW):
        raise Forbidden("you may save views for yourself, not share them", permission=OPERATIONS_VIEW)
    values = {
        "name": view.name.strip(),
        "description": view.description or None,
        "document": view.document,
        "document_id": hashlib.sha256(view.document.encode()).hexdigest(),
        "variables": null() if view.variables is None else dict(view.variables),
        "is_shared": view.is_shared,
    }
    if replaced is None:
        view_id = await _create(connection, viewer, values)
    else:
        view_id = await _replace(connection, viewer, replaced, values)
    await _check_sum(connection, viewer)
    await audit.record(connection, viewer, "save_view", {"view_id": view_id, "document_id": values["document_id"]})
    return view_id


async def delete_view(connection: AsyncConnection, viewer: Viewer, view_id: UUID) -> UUID:
    """Delete a view of the viewer's own. Returns its id.

    Raises NotFound, or Forbidden without permission and for one that another shares.
    """
    _check_permission(viewer)
    await _own(connection, viewer, view_id, "delete")
    await connection.execute(delete(V).where(V.id == view_id))
    await audit.record(connection, viewer, "delete_view", {"view_id": view_id})
    return view_id


def _check_permission(viewer: Viewer) -> None:
    if not viewer.may(VIEWS_EDIT):
        raise Forbidden("you may not save or delete views", permission=VIEWS_EDIT)


async def _create(connection: AsyncConnection, viewer: Viewer, values: Mapping[str, Any]) -> UUID:
    own = select(func.count()).where(V.provider == viewer.provider, V.owner_subject == viewer.subject)
    if (await connection.scalar(own) or 0) >= VIEWS_OF_ONE:
        raise Conflict(f"one may save {VIEWS_OF_ONE} views: replace one", reason=RefusalReason.TOO_MANY_VIEWS)
    owner = {"provider": viewer.provider, "owner_subject": viewer.subject, "owner": creator(viewer)}
    return (await connection.execute(insert(V).values(**owner, **values).returning(V.id))).scalar_one()


async def _replace(connection: AsyncConnection, viewer: Viewer, view_id: UUID, values: Mapping[str, Any]) -> UUID:
    await _own(connection, viewer, view_id, "replace")
    await connection.execute(update(V).where(V.id == view_id).values(**values, updated_at=NOW))
    return view_id


async def _own(connection: AsyncConnection, viewer: Viewer, view_id: UUID, verb: str) -> None:
    """Lock the view. Raises NotFound, or Forbidden unless it is the viewer's own."""
    visible = select(V.owner_subject).where(V.id == view_id, view_clause(viewer)).with_for_update()
    owner = await connection.scalar(visible)
    if owner is None:
        raise NotFound("no such view")
    if owner != viewer.subject:
        raise Forbidden(f"only its owner may {verb} a view", permission=OWNER)


async def _check_sum(connection: AsyncConnection, viewer: Viewer) -> None:
    """Raises Conflict when the views of the viewer have become too large together."""
    size = func.octet_length(V.document) + func.coalesce(func.octet_length(cast(V.variables, Text)), 0)
    own = select(func.sum(size)).where(V.provider == viewer.provider, V.owner_subject == viewer.subject)
    if (await connection.scalar(own) or 0) > BYTES_OF_ONE:
        message = f"the views of one may have {BYTES_OF_ONE // 1024} KiB together: shorten or replace one"
        raise Conflict(message, reason=RefusalReason.TOO_MANY_VIEWS)


def _check(view: NewView) -> None:
    if not 1 <= len(view.name.strip()) <= NAME_LENGTH:
        raise BadInput(f"the name must have 1 to {NAME_LENGTH} characters", argument="name")
    if len(view.description or "") > DESCRIPTION_LENGTH:
        raise BadInput(f"the description must have at most {DESCRIPTION_LENGTH} characters", argument="description")
    if len(view.document) > DOCUMENT_LENGTH:
        raise BadInput(f"the document must have at most {DOCUMENT_LENGTH} characters", argument="document")
    if len(dumps(view.variables)) > VARIABLES_BYTES:
        raise BadInput(f"the variables must have at most {VARIABLES_BYTES} bytes of JSON", argument="variables", path="")
