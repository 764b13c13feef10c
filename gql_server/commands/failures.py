"""Taking care of a failure group, for good or until a time."""

from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.commands import audit
from gql_server.commands.checks import creator
from gql_server.db.models import NOW, Acknowledgement
from gql_server.errors import BadInput, Forbidden, NotFound
from gql_server.policy import FAILURES_ACKNOWLEDGE, Viewer
from gql_server.reads.failures.queries import groups_by_fingerprint

NOTE_LENGTH = 2000


async def acknowledge(
    connection: AsyncConnection, viewer: Viewer, fingerprint: str, *, until: datetime | None = None, note: str | None = None
) -> None:
    """Take a failure group, or mute it until a time; a later acknowledgement replaces an earlier one, whoever made it.

    Raises NotFound for a group without a job that the viewer sees, Forbidden, or BadInput for a time that has passed.
    """
    if fingerprint not in await groups_by_fingerprint(connection, viewer, [fingerprint]):
        raise NotFound("no such failure group")
    if not viewer.may(FAILURES_ACKNOWLEDGE):
        raise Forbidden("you may not acknowledge failures", permission=FAILURES_ACKNOWLEDGE)
    if until is not None and until <= datetime.now(UTC):
        raise BadInput("until must be in the future", argument="until")
    if note is not None and (len(note) > NOTE_LENGTH or "\0" in note):
        raise BadInput(f"note must have at most {NOTE_LENGTH} characters, none of them NUL", argument="note")
    values = {"at": NOW, "by": dict(creator(viewer)), "until": until, "note": note or None}
    statement = insert(Acknowledgement).values(provider=viewer.provider, fingerprint=fingerprint, **values)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=[Acknowledgement.provider, Acknowledgement.fingerprint], set_=values)
    )
    target = {"fingerprint": fingerprint, "until": until, "note": note}
    await audit.record(connection, viewer, "acknowledge_failure", target)
