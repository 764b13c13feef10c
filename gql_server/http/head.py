"""Head of a request: its headers, read once for all that look at them."""

from collections.abc import Mapping

from starlette.types import Scope

Head = Mapping[str, str]
"""Headers by their name in lower case: the first of each, where there are several."""
KEPT = "gql_server.head"
PROBES = ("/livez", "/readyz")


def head_of(scope: Scope) -> Head:
    """The headers of a request, kept in its scope."""
    known: Head | None = scope.get(KEPT)
    if known is None:
        known = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        scope[KEPT] = known
    return known


def path_of(scope: Scope) -> str:
    """Path of a request below that under which the server is shown."""
    return scope["path"].removeprefix(scope.get("root_path", ""))


def is_probe(scope: Scope) -> bool:
    """True for the questions of those who watch the process."""
    return path_of(scope) in PROBES
