"""Work of a plan beside completing rows: loads children, calls coded fields, reports denials, puts errors in their places."""

from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any

from graphql import Undefined
from graphql.pyutils import gather_with_cancel

from gql_server.execution.contract import Executor
from gql_server.execution.fields import Child
from gql_server.execution.plan import FieldPlan
from gql_server.execution.region import Entry, ObjectBatch, Region

Work = list[Coroutine[Any, Any, None]]


class Escaped(Exception):
    """An error for which what graphql-core left to the plan must be null."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


async def settled(work: Work) -> None:
    """Does all the work at a time. Raises Escaped when the rest of it is in vain."""
    if len(work) == 1:
        await work[0]
    elif work:
        await gather_with_cancel(*work)


class Effects:
    """The effects of one execution."""

    __slots__ = ("_executor",)

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def begin(self, region: Region) -> Work:
        """Begins what is left to do of a region that graphql-core asked for. Raises an error for which all of it is null."""
        assert region.root is not None
        work = self._loads(region)
        try:
            if region.root.plan.codes:
                self._visit_entry(region.root, work)
            else:
                self._report(region)
        except Exception:
            self._executor.settle_in_background([*work])
            raise
        finally:
            region.root.forget()
        return work

    def _loads(self, region: Region) -> Work:
        return [self._load(batch, field) for batch in region.batches for field in batch.plan.loaded]

    def _report(self, region: Region) -> None:
        """Reports what was denied, of all objects at once."""
        for guard, count in region.denials.items():
            if count:
                guard.denied(self._executor.context_value, count)

    async def _load(self, batch: ObjectBatch, field: FieldPlan) -> None:
        child = field.child
        assert child is not None
        keys = self._keys(batch, field, child)
        owners = [index for index, key in enumerate(keys) if key is not Undefined]
        asked = [key for key in keys if key is not None and key is not Undefined]
        if not owners:
            return
        found: Sequence[Any] = ()
        try:
            if asked:
                found = await child.load(self._executor.context_value, asked, **batch.arguments[field.key])
        except Exception as error:
            for index in owners:
                self._fail(batch, index, field, error)
            return
        rest = iter(found)
        values = [child.missing if keys[index] is None else next(rest) for index in owners]
        await settled(self._attach(batch, field, values, owners))

    def _keys(self, batch: ObjectBatch, field: FieldPlan, child: Child) -> Sequence[Any]:
        """The keys of all objects; Undefined where there is nothing to load."""
        keys = batch.table.column(child.key)
        permitted = batch.permitted.get(field.key)
        if permitted is None:
            return keys
        return [key if may else Undefined for key, may in zip(keys, permitted, strict=True)]

    def _attach(self, batch: ObjectBatch, field: FieldPlan, values: Sequence[Any], owners: Sequence[int]) -> Work:
        """Answers the field with these values, all at once or, where something is unusual, in halves."""
        region = Region(self._executor)
        try:
            answers = region.values(batch, field, values, owners)
        except Exception:
            if len(values) == 1:
                return self._alone(batch, owners[0], field, values[0])
            half = len(values) // 2
            work = self._attach(batch, field, values[:half], owners[:half])
            return work + self._attach(batch, field, values[half:], owners[half:])
        for index, answer in zip(owners, answers, strict=True):
            batch.answers[index][field.key] = answer
        work, arrived = self._loads(region), batch.inner.pop(field.key, None)
        if arrived and arrived.plan.codes:
            self._visit_arrived(arrived, batch, field, work)
        else:
            self._report(region)
        if arrived:
            arrived.forget()
        return work

    def _alone(self, batch: ObjectBatch, index: int, field: FieldPlan, value: Any) -> Work:
        """Has graphql-core complete one value."""
        executor = self._executor
        try:
            info, path = executor.info_of(batch, index, field), batch.path_of(index, field)
            completed = executor.complete_value(field.type, field.details, info, path, value, None)
            if executor.is_awaitable(completed):
                return [self._later(batch, index, field, completed)]
            batch.answers[index][field.key] = completed
        except Exception as error:
            self._fail(batch, index, field, error)
        return []

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
            work.append(self._later(batch, index, field, value))
        else:
            batch.answers[index][field.key] = value

    async def _later(self, batch: ObjectBatch, index: int, field: FieldPlan, value: Awaitable[Any]) -> None:
        try:
            batch.answers[index][field.key] = await value
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
