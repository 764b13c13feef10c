"""Work of a plan beside completing rows: loads children, calls coded fields, reports denials, puts errors in their places."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from graphql import Undefined

from gql_server.execution.contract import Executor
from gql_server.execution.fields import KEY, Child
from gql_server.execution.plan import FieldPlan
from gql_server.execution.region import Entry, ObjectBatch, Region


class Escaped(Exception):
    """An error for which what graphql-core left to the plan must be null."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Work:
    """Parts that an answer has to wait for. Each is gone on with as soon as it is there, and may add more."""

    __slots__ = ("_awaited", "_done", "_left")

    def __init__(self) -> None:
        self._done: asyncio.Future[None] | None = None
        self._awaited: list[asyncio.Future[Any]] = []
        self._left = 0

    def __bool__(self) -> bool:
        return self._done is not None

    def add(self, awaited: Awaitable[Any], go_on: "Callable[[asyncio.Future[Any]], None]") -> None:
        """Have it gone on with once it is there, unless something has made that vain."""
        if not isinstance(awaited, asyncio.Future):
            awaited = asyncio.ensure_future(awaited)
        self._awaited.append(awaited)
        if self._done is None:
            self._done = awaited.get_loop().create_future()
        self._left += 1
        awaited.add_done_callback(partial(self._arrived, go_on))

    def _arrived(self, go_on: "Callable[[asyncio.Future[Any]], None]", arrived: "asyncio.Future[Any]") -> None:
        assert self._done is not None
        if self._done.done():
            _retrieve(arrived)
            return
        try:
            go_on(arrived)
        except asyncio.CancelledError:
            self._done.cancel()
        except Exception as error:
            self._done.set_exception(error)
        else:
            self._left -= 1
            if not self._left:
                self._done.set_result(None)

    async def settled(self) -> None:
        """Waits for all of it. Raises Escaped when the rest of it is in vain."""
        if self._done is None:
            return
        try:
            await self._done
        except BaseException:
            for each in self._awaited:
                each.cancel()
            await asyncio.gather(*self._awaited, return_exceptions=True)
            raise
        finally:
            self._awaited.clear()


def _retrieve(arrived: "asyncio.Future[Any]") -> None:
    """Nobody wants what has arrived, or its error."""
    if not arrived.cancelled():
        arrived.exception()


def _known(values: Sequence[Any] | Exception) -> "asyncio.Future[Sequence[Any]]":
    """A load that is done already, or has failed."""
    loading: asyncio.Future[Sequence[Any]] = asyncio.get_running_loop().create_future()
    if isinstance(values, Exception):
        loading.set_exception(values)
    else:
        loading.set_result(values)
    return loading


def begun(executor: Executor, region: Region) -> Work | None:
    """Begins the work that is left of a region which graphql-core asked for; None if it is complete.

    Raises an error for which all of it is null.
    """
    assert region.root is not None
    is_complete = not (region.batches or region.denials or region.root.plan.visited)
    return None if is_complete else Effects(executor).begin(region)


class Effects:
    """The effects of one execution."""

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def begin(self, region: Region) -> Work:
        """Begins what is left to do. Raises an error for which all of it is null."""
        assert region.root is not None
        work = Work()
        self._load_all(region, work)
        try:
            if region.root.plan.codes:
                self._visit_entry(region.root, work)
            else:
                self._report(region)
        except Exception:
            self._executor.settle_in_background([work.settled()])
            raise
        finally:
            region.root.forget()
        return work

    def _load_all(self, region: Region, work: Work) -> None:
        for batch in region.batches:
            for field in batch.plan.loaded:
                self._load(batch, field, work)

    def _report(self, region: Region) -> None:
        """Reports what was denied, of all objects at once."""
        for guard, count in region.denials.items():
            if count:
                guard.denied(self._executor.context_value, count)

    def _load(self, batch: ObjectBatch, field: FieldPlan, work: Work) -> None:
        """Begins the load of a field, for all objects that have one."""
        child = field.child
        assert child is not None
        keys = self._keys(batch, field)
        owners = [index for index, key in enumerate(keys) if key is not Undefined]
        asked = [key for key in keys if key is not None and key is not Undefined]
        if asked:
            arguments = self._executor.arguments(batch, field)
            if child.key is None:
                arguments = {name: value for name, value in arguments.items() if name != KEY}
            work.add(self._loaded(child, asked, arguments), partial(self._found, batch, field, keys, owners, work))
            if child.identity is not None and field.inner is not None:
                self._prepare(ObjectBatch(field.inner, (), batch, field), child.identity, asked)
        elif owners and child.missing is not None:
            work.add(_known(()), partial(self._found, batch, field, keys, owners, work))

    def _loaded(self, child: Child, keys: Sequence[Any], arguments: Mapping[str, Any]) -> Awaitable[Sequence[Any]]:
        try:
            return child.load(self._executor.context_value, keys, **arguments)
        except Exception as error:
            return _known(error)

    def _prepare(self, coming: ObjectBatch, identity: str, keys: Sequence[Any]) -> None:
        """Asks for children of objects that are loaded by the same keys. There may be no such objects: what is wrong with it is
        said once they are there."""
        for field in coming.plan.loaded:
            child = field.child
            if child is not None and child.prepare is not None and child.key == identity and field.guarded is None:
                with suppress(Exception):
                    child.prepare(self._executor.context_value, keys, **self._executor.arguments(coming, field))

    def _found(
        self,
        batch: ObjectBatch,
        field: FieldPlan,
        keys: Sequence[Any],
        owners: Sequence[int],
        work: Work,
        loading: "asyncio.Future[Sequence[Any]]",
    ) -> None:
        child = field.child
        assert child is not None
        try:
            rest = iter(self._shown(child, loading.result()))
        except Exception as error:
            for index in owners:
                self._fail(batch, index, field, error)
            return
        values = [child.missing if keys[index] is None else next(rest) for index in owners]
        self._attach(batch, field, values, owners, work)

    def _shown(self, child: Child, loaded: Sequence[Any]) -> Sequence[Any]:
        then, context = child.then, self._executor.context_value
        return loaded if then is None else [then(context, value) for value in loaded]

    def _keys(self, batch: ObjectBatch, field: FieldPlan) -> Sequence[Any]:
        """The keys of all objects; Undefined where there is nothing to load."""
        keys = batch.keys(field, self._executor.arguments(batch, field))
        permitted = batch.permitted.get(field.key)
        if permitted is None:
            return keys
        return [key if may else Undefined for key, may in zip(keys, permitted, strict=True)]

    def _attach(self, batch: ObjectBatch, field: FieldPlan, values: Sequence[Any], owners: Sequence[int], work: Work) -> None:
        """Answers the field with these values, all at once or, where something is unusual, in halves."""
        region = Region(self._executor)
        try:
            answers = region.values(batch, field, values, owners)
        except Exception:
            if len(values) == 1:
                self._alone(batch, owners[0], field, values[0], work)
                return
            half = len(values) // 2
            self._attach(batch, field, values[:half], owners[:half], work)
            self._attach(batch, field, values[half:], owners[half:], work)
            return
        for index, answer in zip(owners, answers, strict=True):
            batch.answers[index][field.key] = answer
        self._load_all(region, work)
        arrived = batch.inner.pop(field.key, None)
        if arrived and arrived.plan.codes:
            self._visit_arrived(arrived, batch, field, work)
        else:
            self._report(region)
        if arrived:
            arrived.forget()

    def _alone(self, batch: ObjectBatch, index: int, field: FieldPlan, value: Any, work: Work) -> None:
        """Has graphql-core complete one value."""
        executor = self._executor
        try:
            info, path = executor.info_of(batch, index, field), batch.path_of(index, field)
            completed = executor.complete_value(field.type, field.details, info, path, value, None)
            if executor.is_awaitable(completed):
                work.add(completed, partial(self._later, batch, index, field))
            else:
                batch.answers[index][field.key] = completed
        except Exception as error:
            self._fail(batch, index, field, error)

    def _visit_entry(self, root: ObjectBatch, work: Work) -> None:
        entry = root.parent
        assert isinstance(entry, Entry)
        for index in range(len(root.rows)):
            try:
                self._visit(root, index, work)
            except Exception as error:
                if not entry.is_list:
                    raise
                self._executor.handle_field_error(error, entry.item_type, entry.details, root.path(index))
                entry.answers[index] = None

    def _visit_arrived(self, arrived: ObjectBatch, batch: ObjectBatch, field: FieldPlan, work: Work) -> None:
        for value in range(len(arrived.values)):
            try:
                self._visit_value(arrived, value, work)
            except Exception as error:
                self._fail(batch, arrived.owner(value), field, error)

    def _visit(self, batch: ObjectBatch, index: int, work: Work) -> None:
        """Calls the coded fields of an object and of what is inside it, in order, and reports what was denied.

        Raises what makes it null.
        """
        for field in batch.plan.visited:
            if field.is_coded:
                self._call(batch, index, field, work)
            if field.guarded and field.key in batch.denied and batch.denied[field.key][index]:
                field.guarded.guard.denied(self._executor.context_value, 1)
            if inner := batch.inner.get(field.key):
                try:
                    self._visit_value(inner, index, work)
                except Exception as error:
                    self._handle(batch, index, field, error)

    def _visit_value(self, batch: ObjectBatch, value: int, work: Work) -> None:
        field, parent = batch.field, batch.parent
        assert field is not None
        assert isinstance(parent, ObjectBatch)
        for index in batch.objects_of(value):
            try:
                self._visit(batch, index, work)
            except Exception as error:
                if not field.is_list:
                    raise
                self._executor.handle_field_error(error, field.item_type, field.details, batch.path(index))
                parent.answers[batch.owner(value)][field.key][index - batch.starts[value]] = None

    def _call(self, batch: ObjectBatch, index: int, field: FieldPlan, work: Work) -> None:
        executor, path = self._executor, batch.path_of(index, field)
        value = executor.execute_field(batch.plan.type, batch.rows[index], field.details, path, None)
        if executor.is_awaitable(value):
            work.add(value, partial(self._later, batch, index, field))
        else:
            batch.answers[index][field.key] = value

    def _later(self, batch: ObjectBatch, index: int, field: FieldPlan, value: "asyncio.Future[Any]") -> None:
        try:
            batch.answers[index][field.key] = value.result()
        except Exception as error:
            self._fail(batch, index, field, error)

    def _fail(self, batch: ObjectBatch, index: int, field: FieldPlan, error: Exception) -> None:
        """Makes the field of the object null, or what is around it as far as null is allowed. Raises Escaped."""
        try:
            self._handle(batch, index, field, error)
        except Exception as located:
            self._bubble(batch, index, located)

    def _handle(self, batch: ObjectBatch, index: int, field: FieldPlan, error: Exception) -> None:
        self._executor.handle_field_error(error, field.type, field.details, batch.path_of(index, field))
        batch.answers[index][field.key] = None

    def _bubble(self, batch: ObjectBatch, index: int, error: Exception) -> None:
        """Makes the object null, or what is around it. Raises Escaped."""
        if isinstance(batch.parent, Entry):
            self._bubble_out(batch, index, batch.parent, error)
            return
        field, value = batch.field, batch.value_of(index)
        assert field is not None
        owner = batch.owner(value)
        if field.is_list:
            try:
                self._executor.handle_field_error(error, field.item_type, field.details, batch.path(index))
            except Exception as located:
                error = located
            else:
                if (answers := batch.parent.answers[owner][field.key]) is not None:
                    answers[index - batch.starts[value]] = None
                return
        self._fail(batch.parent, owner, field, error)

    def _bubble_out(self, batch: ObjectBatch, index: int, entry: Entry, error: Exception) -> None:
        if not entry.is_list:
            raise Escaped(error)
        try:
            self._executor.handle_field_error(error, entry.item_type, entry.details, batch.path(index))
        except Exception as located:
            raise Escaped(located) from located
        entry.answers[index] = None
