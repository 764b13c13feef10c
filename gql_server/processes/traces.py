"""Traces of a process, where they are wanted."""

import socket

from gql_server import tracing
from gql_server.errors import Stop
from gql_server.release import build_version
from gql_server.settings import Settings


def record_traces(settings: Settings) -> tracing.Provider | None:
    """Record traces from now on, if the settings say where they go. Raises Stop where what that takes is not installed."""
    if settings.otlp_endpoint is None:
        return None
    resource = {"service.name": "gql-server", "service.version": build_version(), "service.instance.id": socket.gethostname()}
    try:
        return tracing.configure(settings.otlp_endpoint, sampled=settings.trace_share, resource=resource)
    except ImportError:
        raise Stop("GQL_OTLP_ENDPOINT needs what `pip install 'gql-server[otlp]'` brings") from None
