"""Statements by asyncpg itself, outside any transaction: SQLAlchemy around a small one takes longer than the statement."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import ARRAY, BindParameter, Connection, Dialect, Executable
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg
from sqlalchemy.exc import EmulatedDBAPIException, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.compiler import ExpandedState, SQLCompiler
from sqlalchemy.util import greenlet_spawn

from gql_server.db.engine import UNKNOWN_TYPE, is_unfit

Processor = Callable[[Any], Any]
Rows = Sequence[Any]
FAILURES = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""Errors of a statement that was sent either way."""


class Fetched(NamedTuple):
    """Rows of a statement, as listeners get them in place of a cursor."""

    rows: Rows


class DirectConnection(AsyncConnection):
    """A connection of the pool. SQLAlchemy takes hold of it when something is executed by way of it, and not before.

    From then on everything has to go that way: it may have begun a transaction.
    """

    _borrowed: PoolProxiedConnection | None = None
    _held: Connection | None = None

    async def start(self, is_ctxmanager: bool = False) -> "DirectConnection":
        """Borrows the connection. Raises what asyncpg raises where there is none to be had."""
        try:
            self._borrowed = await self.engine.raw_connection()
        except EmulatedDBAPIException as error:
            raise error.driver_exception from None
        return self

    async def __aenter__(self) -> "DirectConnection":
        return await self.start()

    async def __aexit__(self, type_: Any, value: Any, traceback: Any) -> None:
        """Gives the connection back: at once where nothing has to be waited for, else whatever is cancelled meanwhile."""
        if self._held is None and self._borrowed and not is_unfit(self._borrowed.driver_connection):
            await greenlet_spawn(self._borrowed.close)
        else:
            await super().__aexit__(type_, value, traceback)

    @property
    def is_direct(self) -> bool:
        """SQLAlchemy has not taken hold of it."""
        return self._held is None

    @property
    def sync_connection(self) -> Connection | None:
        if self._held is None and self._borrowed is not None:
            self._held = Connection(self.sync_engine, connection=self._borrowed)
        return self._held

    @sync_connection.setter
    def sync_connection(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, connection: Connection | None
    ) -> None:
        self._held = connection

    async def fetch(self, statement: "DirectStatement", values: Mapping[str, Any]) -> Rows:
        """The rows of a statement for these values. Raises what asyncpg raises."""
        assert self._borrowed is not None
        assert self.is_direct
        driver: Any = self._borrowed.driver_connection
        compiled = statement.compiled(self.sync_engine.dialect)
        text, parameters = compiled.given(values)
        heard: Any = self.sync_engine.dispatch
        if heard.before_cursor_execute:
            heard.before_cursor_execute(self._as_heard, None, text, parameters, None, False)
        try:
            found = await statement.execute(self.sync_engine.dialect, driver, text, parameters)
        except asyncpg.PostgresError as error:
            if UNKNOWN_TYPE in str(error):
                await self.engine.dispose()
            raise
        if heard.after_cursor_execute:
            heard.after_cursor_execute(self._as_heard, Fetched(found), text, parameters, None, False)
        return found

    @cached_property
    def _as_heard(self) -> Connection:
        """The connection as listeners know it."""
        return Connection(self.sync_engine, connection=self._borrowed)


class DirectEngine(AsyncEngine):
    """An engine whose statements are each a transaction, by way of either."""

    def connect(self) -> DirectConnection:
        return DirectConnection(self)


@lru_cache(maxsize=16)
def direct(engine: AsyncEngine) -> DirectEngine:
    """The same engine, with its pool, for statements that commit by themselves."""
    return DirectEngine(engine.sync_engine.execution_options(isolation_level="AUTOCOMMIT"))


class DirectStatement:
    """A statement that is compiled once, for an engine's dialect. What listens to the engine hears of it."""

    def __init__(self, statement: Executable) -> None:
        self.statement: Any = statement
        self._compiled: _Compiled | None = None
        self._columns: _Columns | None = None

    def compiled(self, dialect: Dialect) -> "_Compiled":
        """Outcome of compiling it."""
        if self._compiled is None:
            self._compiled = _compiled(self.statement, dialect)
        return self._compiled

    async def execute(self, dialect: Dialect, driver: asyncpg.Connection, text: str, parameters: Sequence[Any]) -> Rows:
        """The rows of its text, as the types of its columns have them. What those are in the database is learnt at first."""
        if self._columns is not None:
            return self._columns.read(await driver.fetch(text, *parameters))
        prepared = await driver.prepare(text)
        found = await prepared.fetch(*parameters)
        self._columns = self._known(dialect, [attribute.type.oid for attribute in prepared.get_attributes()])
        return self._columns.read(found)

    def _known(self, dialect: Dialect, numbers: Sequence[int]) -> "_Columns":
        types = [column.type for column in getattr(self.statement, "selected_columns", ())]
        found = [type_.dialect_impl(dialect).result_processor(dialect, oid) for type_, oid in zip(types, numbers, strict=False)]
        return _Columns([process or _as_it_is for process in found] if any(found) else None)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """Outcome of compiling a statement, and what becomes of the values of its parameters."""

    compiled: SQLCompiler
    fixed: ExpandedState | None
    """Its text, unless values are written into it when it is executed."""
    processors: Mapping[str, Processor]

    def given(self, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The text and the parameters that asyncpg gets."""
        if self.fixed is None:
            state = self.compiled.construct_expanded_state(values)
            processors, every = {**self.processors, **state.processors}, state.parameters
        else:
            state, processors, every = self.fixed, self.processors, {**self.fixed.parameters, **values}
        return state.statement, [_processed(processors.get(name), every[name]) for name in state.positiontup or ()]


@dataclass(frozen=True, slots=True)
class _Columns:
    """Processors of the values of the columns, if any has one."""

    processors: Sequence[Processor] | None

    def read(self, found: Rows) -> Rows:
        """The rows as the types of their columns have them."""
        if self.processors is None:
            return found
        return [[process(value) for process, value in zip(self.processors, row, strict=True)] for row in found]


class _Writing(PGCompiler_asyncpg):
    """Writes constants, but arrays and JSON, into the statement: it is compiled once, and would send them all each time."""

    def visit_bindparam(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, bindparam: BindParameter[Any], *, literal_binds: bool = False, **options: Any
    ) -> str:
        type_, kind = bindparam.type, bindparam.type.dialect_impl(self.dialect)
        is_constant = not bindparam.required and bindparam.value is not None and not isinstance(type_, ARRAY)
        if literal_binds or not is_constant or kind.literal_processor(self.dialect) is None:
            return super().visit_bindparam(bindparam, literal_binds=literal_binds, **options)
        written = super().visit_bindparam(bindparam, literal_binds=True, **options)
        has_type = bindparam.expanding or not kind.render_bind_cast
        return written if has_type else self.render_bind_cast(type_, kind, written)


def _compiled(statement: Any, dialect: Dialect) -> _Compiled:
    writing = copy(dialect)
    writing.statement_compiler = _Writing
    compiled: SQLCompiler = statement.compile(dialect=writing)
    binds = compiled.binds
    found = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in binds.items()}
    processors = {name: process for name, process in found.items() if process}
    asked = {name: bind for name, bind in binds.items() if bind.required}
    if any(bind.literal_execute or bind.expanding for bind in asked.values()):
        return _Compiled(compiled, None, processors)
    fixed = compiled.construct_expanded_state(dict.fromkeys(asked))
    return _Compiled(compiled, fixed, {**processors, **fixed.processors})


def _processed(process: Processor | None, value: Any) -> Any:
    return process(value) if process else value


def _as_it_is(value: Any) -> Any:
    return value
