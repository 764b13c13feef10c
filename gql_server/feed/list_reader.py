"""Reads of a live list: all that belongs together from one snapshot, so that it is of one position."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gql_server.db import Engine
from gql_server.feed import queries
from gql_server.feed.events import LOOKED_AT
from gql_server.feed.held import ALL_BELOW, Held, digest
from gql_server.feed.queries import Changed
from gql_server.feed.tokens import Position
from gql_server.policy import OPERATIONS_VIEW, Viewer
from gql_server.reads.pagination.pages import Page
from gql_server.reads.pagination.windows import Window, newest
from gql_server.reads.pipelines.filter import PipelineCriteria
from gql_server.reads.pipelines.ids import members
from gql_server.reads.pipelines.queries import OF_LIST, page, rows_of_list
from gql_server.reads.pipelines.row import PipelineRow
from gql_server.reads.rows import Columns

CHUNK = 1000
"""Pipelines that are looked at together, of those that changed."""


def is_settled(criteria: PipelineCriteria, viewer: Viewer) -> bool:
    """True if a pipeline is in the list, or not, from its creation on."""
    return criteria.is_settled and viewer.may(OPERATIONS_VIEW)


def held_of(page: Page, viewer: Viewer) -> Held | None:
    """Pipelines that a client holds to whom this page of a list was shown."""
    if page.criteria is None or is_settled(page.criteria, viewer):
        return None
    held = Held.of(digest(page.criteria), (row.key for row in page.nodes), are_all=not page.has_next_page)
    return held if page.is_head else replace(held, floor=ALL_BELOW)


class ListSnapshot:
    """One snapshot of the database, as the viewer of a list sees it."""

    def __init__(
        self,
        connection: AsyncConnection,
        position: Position,
        viewer: Viewer,
        criteria: PipelineCriteria,
        window: Window,
        columns: Columns[PipelineRow],
    ) -> None:
        self.position = position
        self._connection, self._viewer, self._criteria, self._window = connection, viewer, criteria, window
        self._columns = columns

    async def is_resumable(self, after: Position) -> bool:
        """True if every event after that position is still there."""
        return await queries.is_resumable(self._connection, after)

    async def changed_since(
        self, after: int, limit: int, is_deliverable: Callable[[Changed], bool], marks: Sequence[int] | None = None
    ) -> list[Changed]:
        """At most so many of the pipelines to be told that changed after that event, in the order of their last events.

        With marks, of those alone that the viewer may see, and those of the marks.
        """
        found, beyond = list[Changed](), after
        while len(found) < limit:
            chunk = await queries.changed_since(self._connection, self._viewer, after, limit=CHUNK, beyond=beyond, marks=marks)
            found += filter(is_deliverable, chunk)
            if len(chunk) < CHUNK:
                break
            beyond = chunk[-1].sequence
        return found[:limit]

    async def begun(self, after: int, until: int) -> list[Changed]:
        """Visible pipelines that changed after the one event, and changed further after the other."""
        found, beyond = list[Changed](), until
        while True:
            chunk = await queries.changed_since(
                self._connection, self._viewer, after, limit=CHUNK, beyond=beyond, begun_by=until, marks=()
            )
            found += chunk
            if len(chunk) < CHUNK:
                return found
            beyond = chunk[-1].sequence

    async def rows(self, keys: Sequence[UUID]) -> Mapping[UUID, PipelineRow]:
        """Rows of those of the pipelines that are in the list."""
        asked = tuple(keys) if self._criteria.ids is None else tuple(set(keys) & set(self._criteria.ids))
        if not asked:
            return {}
        criteria = replace(self._criteria, ids=asked)
        rows = await rows_of_list(self._connection, self._viewer, criteria, newest(len(asked)), self._columns)
        return {row.key: row for row in rows}

    async def page(self) -> Page:
        """The first page."""
        return await page(self._connection, self._viewer, criteria=self._criteria, window=self._window, columns=self._columns)

    async def members(self, limit: int) -> list[UUID]:
        """Keys of the newest pipelines in the list, newest first; at most one more than the limit."""
        return await members(self._connection, self._viewer, criteria=self._criteria, limit=limit)


class ListReader:
    """Opens snapshots for a list: of that viewer, filter and length of the first page."""

    def __init__(
        self,
        engine: Engine,
        viewer: Viewer,
        criteria: PipelineCriteria,
        window: Window,
        columns: Columns[PipelineRow] = OF_LIST,
    ) -> None:
        self.criteria, self.viewer = criteria, viewer
        self._engine, self._window, self._columns = engine, window, columns | LOOKED_AT

    @property
    def is_settled(self) -> bool:
        return is_settled(self.criteria, self.viewer)

    @property
    def page_size(self) -> int:
        return self._window.size

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[ListSnapshot]:
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            position = await queries.now(connection)
            yield ListSnapshot(connection, position, self.viewer, self.criteria, self._window, self._columns)
