"""Version and digest of this build of gql-server."""

from functools import cache
from hashlib import blake2s
from importlib.metadata import version
from pathlib import Path

PACKAGE = Path(__file__).parent


@cache
def build_version() -> str:
    """The package's version and a digest of its code, such as `0.1.0+3f2a91c4`: equal where the same code runs."""
    return f"{version('gql-server')}+{code_digest(PACKAGE)}"


def code_digest(folder: Path) -> str:
    """Eight characters that differ when any Python file of the folder does."""
    digest = blake2s(digest_size=4)
    for path in sorted(folder.rglob("*.py")):
        code = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(code)}\0".encode() + code)
    return digest.hexdigest()
