"""Handlers of the job types. Importing this package registers all of them."""

from gql_server.handlers import aggregation, api, factors, ingest, recalc, reference, units

__all__ = ["aggregation", "api", "factors", "ingest", "recalc", "reference", "units"]
