"""Feed tokens: a position in one database's events, `(epoch, sequence)`, opaque to clients."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Self

from gql_server.errors import BadInput


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a reader stands. Positions of different epochs cannot be compared: their databases differ."""

    epoch: str
    sequence: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the text the database gives, `epoch:sequence`."""
        epoch, separator, sequence = text.rpartition(":")
        if not (epoch and separator and sequence.isascii() and sequence.isdigit()):
            raise ValueError(text)
        return cls(epoch, int(sequence))

    @classmethod
    def from_token(cls, token: str) -> Self:
        """Raises BadInput for what is no token."""
        try:
            position = cls.parse(urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
        except ValueError:
            position = None
        if position is None or position.token() != token:
            raise BadInput("Not a feed token.")
        return position

    def span_since(self, before: Self) -> tuple[int, int]:
        """Numbers of the last event then and of the last event now; from 0 when events are numbered anew since."""
        goes_on = before.epoch == self.epoch and before.sequence <= self.sequence
        return (before.sequence if goes_on else 0), self.sequence

    def token(self) -> str:
        return to_token(f"{self.epoch}:{self.sequence}")


def to_token(text: str) -> str:
    """The token of a position as the database gives it."""
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
