"""Credentials as the database keeps them: what they stand for, never the secret itself."""

from gql_server.credentials.sessions import Session, Sessions

__all__ = ["Session", "Sessions"]
