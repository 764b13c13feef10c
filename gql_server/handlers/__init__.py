"""What each job type does. Importing this package registers all of them."""

from gql_server.handlers import aggregation, factors, ingest, recalc, units

__all__ = ["aggregation", "factors", "ingest", "recalc", "units"]
