"""Rules of the schema definition. Each yields complaints that name the coordinate and the remedy."""

from collections.abc import Callable

from graphql import GraphQLSchema, build_schema

from gql_server.graph.lint.changes import changes as changes
from gql_server.graph.lint.changes import unaccepted as unaccepted
from gql_server.graph.lint.elements import Complaints
from gql_server.graph.lint.policy_rules import attributed, governed, mirrored, refusable
from gql_server.graph.lint.relay_rules import relay
from gql_server.graph.lint.shape_rules import dated, described, mergeable

RULES: tuple[Callable[[GraphQLSchema], Complaints], ...] = (
    described,
    governed,
    attributed,
    mirrored,
    refusable,
    mergeable,
    dated,
    relay,
)


def lint(sdl: str) -> list[str]:
    """Everything that is wrong with a schema definition, one sentence each."""
    schema = build_schema(sdl)
    return [complaint for rule in RULES for complaint in rule(schema)]
