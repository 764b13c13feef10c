"""The ledger of small job types, driven by a worker."""

from tests.ledger.conftest import work

__all__ = ["work"]
