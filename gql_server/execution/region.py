"""Completion without side effects: from rows to response dictionaries, a column at a time.

A region is what hangs together without anything to wait for: an object or a list, with the objects and lists in its rows. It
succeeds as a whole, or raises; nothing has happened then, and graphql-core can do it instead.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, compress
from typing import Any

from graphql.pyutils import Path

from gql_server.execution.contract import Executor
from gql_server.execution.fields import KEY, Guard
from gql_server.execution.leaves import NOTHING, Unplanned, is_ordinary, lengths
from gql_server.execution.plan import FieldPlan, ObjectPlan, any_source
from gql_server.execution.rows import Table


class ObjectBatch:
    """Objects of one type that are answered together, the field whose values they are, and their answers.

    `values` are that field's values, of the objects `owners` of the parent, all of them when None: lists if it is a list.
    """

    __slots__ = (
        "_starts",
        "answers",
        "denied",
        "field",
        "inner",
        "owners",
        "parent",
        "permitted",
        "plan",
        "rows",
        "table",
        "values",
    )

    def __init__(
        self,
        plan: ObjectPlan,
        rows: Sequence[Any],
        parent: "ObjectBatch | Entry",
        field: FieldPlan | None = None,
        values: Sequence[Any] = (),
        owners: Sequence[int] | None = None,
    ) -> None:
        self.plan, self.rows, self.parent, self.field, self.values, self.owners = plan, rows, parent, field, values, owners
        self.table = parent.table if isinstance(parent, ObjectBatch) and rows is parent.rows else Table(rows)
        self.answers: list[dict[str, Any]] = []
        self.inner: dict[str, ObjectBatch] = {}
        self.permitted: dict[str, Sequence[bool]] = {}
        self.denied: dict[str, Sequence[bool]] = {}
        self._starts: list[int] | None = None

    def keys(self, field: FieldPlan, arguments: Mapping[str, Any]) -> Sequence[Any]:
        """The keys by which a field of the objects is loaded with these arguments."""
        assert field.child is not None
        name = field.child.key
        return [arguments[KEY]] * len(self.rows) if name is None else self.table.column(name)

    def path(self, index: int) -> Path:
        """Path of the object in the response."""
        if isinstance(self.parent, Entry):
            return self.parent.path.add_key(index, None) if self.parent.is_list else self.parent.path
        assert self.field is not None
        value = self.value_of(index)
        path = self.parent.path_of(self.owner(value), self.field)
        return path.add_key(index - self.starts[value], None) if self.field.is_list else path

    def path_of(self, index: int, field: FieldPlan) -> Path:
        """Path of that field of the object in the response."""
        return Path(self.path(index), field.key, self.plan.type.name)

    @property
    def starts(self) -> list[int]:
        """The index of the first object of each value; objects of null are none."""
        if self._starts is None:
            is_list = self.field is not None and self.field.is_list
            counts = [0 if value is None else len(value) if is_list else 1 for value in self.values]
            self._starts = list(accumulate(counts, initial=0))
        return self._starts

    def value_of(self, index: int) -> int:
        """The index of the value that the object belongs to."""
        return bisect_right(self.starts, index) - 1

    def owner(self, value: int) -> int:
        """The index of the parent's object whose value that is."""
        return value if self.owners is None else self.owners[value]

    def objects_of(self, value: int) -> range:
        return range(self.starts[value], self.starts[value + 1])

    def forget(self) -> None:
        """Lets go of what is inside, once that has been visited: each would hold the other until somebody collects garbage."""
        for inner in self.inner.values():
            inner.forget()
        self.inner.clear()


class Entry:
    """Place at which graphql-core left the execution to the plan: an object, or a list of them; without a path, the root."""

    __slots__ = ("answers", "details", "info", "is_list", "item_type", "path")

    def __init__(self, path: Any, info: Any, details: Any, *, is_list: bool, item_type: Any = None) -> None:
        self.path, self.info, self.details, self.is_list, self.item_type = path, info, details, is_list, item_type
        self.answers: list[dict[str, Any] | None] = []


class Region:
    """One attempt. `batches` are those with something left to do; `denials` what guards have denied."""

    __slots__ = ("batches", "denials", "executor", "root")

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.batches: list[ObjectBatch] = []
        self.denials: dict[Guard, int] = {}
        self.root: ObjectBatch | None = None

    def enter(self, entry: Entry, plan: ObjectPlan, rows: Sequence[Any]) -> None:
        """Answers objects that graphql-core has met. Raises whatever is unusual."""
        self.root = ObjectBatch(plan, rows, entry)
        entry.answers = [*self._complete(self.root, entry.info)]

    def values(self, parent: ObjectBatch, field: FieldPlan, values: Sequence[Any], owners: Sequence[int]) -> Sequence[Any]:
        """The answers of a field, from its values of these objects. Raises whatever is unusual."""
        return field.serialize(values) if field.serialize else self._objects(parent, field, values, owners)

    def _objects(
        self, parent: ObjectBatch, field: FieldPlan, values: Sequence[Any], owners: Sequence[int] | None
    ) -> Sequence[Any]:
        assert field.inner is not None
        if values is parent.rows:
            rows, cut = values, list[Any]
        else:
            if field.is_non_null and NOTHING in set(map(type, values)):
                raise Unplanned
            rows, cut = lengths(values) if field.is_list else _single(values)
            if not rows:
                return cut(())
        batch = ObjectBatch(field.inner, rows, parent, field, values, owners)
        if field.inner.visited:
            parent.inner[field.key] = batch
        return cut(self._complete(batch, None))

    def _complete(self, batch: ObjectBatch, info: Any) -> list[dict[str, Any]]:
        plan, table = batch.plan, batch.table
        if not all(map(is_ordinary, table.kinds)):
            raise Unplanned
        if plan.type.is_type_of:
            self._check(batch, info)
        context, at = self.executor.context_value, table.columns
        columns = [
            serialize(at[position])
            if position is not None
            else read(context, table)
            if read is not None
            else self._column(batch, field)
            for field, serialize, position, read in plan.leaves_of(table.kind)
        ]
        batch.answers = plan.answers(columns) if columns else [{} for _ in table.rows]
        if plan.loaded:
            for field in plan.loaded:
                self._check_keys(batch, field)
            self.batches.append(batch)
        return batch.answers

    def _check(self, batch: ObjectBatch, info: Any) -> None:
        """Raises Unplanned unless all objects are of the type."""
        is_type_of: Any = batch.plan.type.is_type_of
        if is_type_of is any_source:
            return
        if info is None:
            assert batch.field is not None
            assert isinstance(batch.parent, ObjectBatch)
            info = self.executor.info_of(batch.parent, 0, batch.field)
        if not all(is_type_of(row, info) is True for row in batch.rows):
            raise Unplanned

    def _column(self, batch: ObjectBatch, field: FieldPlan) -> Sequence[Any]:
        """The answers of a field that is no leaf, or guarded, or not known yet."""
        permitted = self._permitted(batch, field) if field.guarded else None
        if field.read is None:
            return [None] * len(batch.rows)
        values = field.read(self.executor.context_value, batch.table)
        if permitted is not None:
            values = [value if may else None for value, may in zip(values, permitted, strict=True)]
        return field.serialize(values) if field.serialize else self._objects(batch, field, values, None)

    def _check_keys(self, batch: ObjectBatch, field: FieldPlan) -> None:
        """Raises what is wrong with the arguments of a child's load, and Unplanned where an object has no key but must have a
        child."""
        child = field.child
        assert child is not None
        arguments = self.executor.arguments(batch, field)
        if field.is_non_null and child.missing is None and NOTHING in set(map(type, batch.keys(field, arguments))):
            raise Unplanned

    def _permitted(self, batch: ObjectBatch, field: FieldPlan) -> Sequence[bool] | None:
        """Of which objects the field may be read; None for all. Denials are counted."""
        assert field.guarded is not None
        guard, context, table = field.guarded.guard, self.executor.context_value, batch.table
        verdict = self.executor.decision(guard)
        if verdict is True and field.guarded.present is None:
            return None
        count = len(batch.rows)
        there = [True] * count
        if field.guarded.present is not None:
            there = [value is not None for value in table.column(field.guarded.present)]
        if verdict is None:
            may = [is_there and guard.permits(context, row) for is_there, row in zip(there, table.rows, strict=True)]
        else:
            may = there if verdict else [False] * count
        self.denials[guard] = self.denials.get(guard, 0) + sum(there) - sum(may)
        batch.permitted[field.key] = may
        batch.denied[field.key] = [is_there and not is_given for is_there, is_given in zip(there, may, strict=True)]
        return may


def _single(values: Sequence[Any]) -> tuple[Sequence[Any], Any]:
    """The values that are not null, and what puts their answers in their places."""
    if NOTHING not in set(map(type, values)):
        return values, list
    there = [value is not None for value in values]

    def place(answers: Sequence[Any]) -> list[Any]:
        rest: Iterator[Any] = iter(answers)
        return [next(rest) if is_there else None for is_there in there]

    return list(compress(values, there)), place
