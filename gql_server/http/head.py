"""Head of a request: its headers, read once for all that look at them."""

from starlette.types import Scope

KEPT = "gql_server.head"
PROBES = ("/livez", "/readyz")


class Head(dict[bytes, bytes]):
    """Headers as they came, by their name in lower case: the first of each, where there are several."""

    __slots__ = ()

    def text(self, name: bytes) -> str:
        """A header as text, empty where it is not there."""
        return self.get(name, b"").decode("latin-1")


def head_of(scope: Scope) -> Head:
    """The headers of a request, kept in its scope."""
    known: Head | None = scope.get(KEPT)
    if known is None:
        known = scope[KEPT] = Head(reversed(scope["headers"]))
    return known


def path_of(scope: Scope) -> str:
    """Path of a request below that under which the server is shown."""
    path, root = scope["path"], scope.get("root_path")
    return path.removeprefix(root) if root else path


def is_probe(scope: Scope) -> bool:
    """True for the questions of those who watch the process."""
    return path_of(scope) in PROBES
