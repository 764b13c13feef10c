"""Credentials as the database keeps them: what they stand for, never the secret itself."""

from gql_server.credentials.service_tokens import PREFIX, Service, ServiceTokens, digest
from gql_server.credentials.sessions import Session, Sessions

__all__ = ["PREFIX", "Service", "ServiceTokens", "Session", "Sessions", "digest"]
