"""All of the program, imported into the process that others are forked from, and kept from their garbage collectors."""

import gc

from gql_server import app, processes
from tests.faults import jobs

__all__ = ["app", "jobs", "processes"]

gc.freeze()
