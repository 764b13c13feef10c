"""Windows out of the arguments of a connection."""

from dataclasses import dataclass

from gql_server.errors import BadInput
from gql_server.reads.pagination.cursors import CursorCodec, SortValue
from gql_server.reads.pagination.windows import Window

DEFAULT_PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Paging:
    """Turns the arguments of a connection into a window."""

    cursors: CursorCodec
    size_max: int

    def window(
        self,
        coordinate: str,
        *,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        criteria: object = None,
        descending: bool = False,
        order: SortValue | None = None,
    ) -> Window:
        """The window of a list; its cursors fit only the same coordinate, criteria, order and direction.

        Raises BadInput for a size out of bounds or from both ends, CursorInvalid and CursorFilterMismatch for a cursor.
        """
        scope = repr((coordinate, criteria, order and order.name, "DESC" if descending else "ASC"))
        if first is not None and last is not None:
            raise BadInput("Give `first` or `last`, not both.")
        backward = last is not None or (first is None and before is not None)
        return Window(
            cursors=self.cursors,
            scope=scope,
            size=self._size("last" if backward else "first", last if backward else first),
            backward=backward,
            after=None if after is None else self.cursors.decode(scope, after),
            before=None if before is None else self.cursors.decode(scope, before),
            descending=descending,
            order=order,
        )

    def _size(self, argument: str, size: int | None) -> int:
        if size is None:
            return min(DEFAULT_PAGE_SIZE, self.size_max)
        if not 1 <= size <= self.size_max:
            raise BadInput(f"`{argument}` must be between 1 and {self.size_max}.")
        return size
