"""Credentials as they were read, believed for a moment."""

import time
from collections import OrderedDict
from typing import Generic, TypeVar

from gql_server.http.authentication import TOKENS_KEPT

BELIEVED_SECONDS = 5.0
"""Time for which a process believes what it read of a credential: another one may have ended it."""

V = TypeVar("V")


class Believed(Generic[V]):
    """Values that were read of credentials, by the keys of these; none that was read before a notice came."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[float, V]] = OrderedDict()
        self.notices = 0
        """Notices so far, to be told when a value is kept that was read after them."""

    def get(self, key: bytes) -> V | None:
        """The value, if it is still believed."""
        kept = self._kept.get(key)
        return kept[1] if kept and time.monotonic() - kept[0] < BELIEVED_SECONDS else None

    def last(self, key: bytes) -> V | None:
        """The value that was kept last, believed or not."""
        kept = self._kept.get(key)
        return kept and kept[1]

    def keep(self, key: bytes, value: V, notices: int) -> None:
        """Believe a value from now on, unless a notice came since there were so many."""
        self.forget(key)
        if notices == self.notices:
            self._kept[key] = (time.monotonic(), value)
        if len(self._kept) > TOKENS_KEPT:
            self._kept.popitem(last=False)

    def forget(self, key: bytes) -> None:
        """Have the credential read anew."""
        self._kept.pop(key, None)

    def disbelieve(self, key: bytes | None) -> None:
        """Take a notice of a credential, or of all for None: it is read anew."""
        self.notices += 1
        if key is None:
            self._kept.clear()
        else:
            self.forget(key)
