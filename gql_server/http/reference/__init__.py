"""Pages that show the schema to people: readable without a script, made of the definition alone."""

from gql_server.http.reference.pages import ReferencePages

__all__ = ["ReferencePages"]
