"""Say what pyproject.toml asks for and a lock file does not hold. Without a network, unlike `make lock`."""

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

RUNTIME = ("frontend", "build", "embedded", "bucket", "otlp")
LOCKS = {"requirements.lock": RUNTIME, "requirements-dev.lock": (*RUNTIME, "dev")}


def missing(project: dict[str, dict[str, list[str]]], lock: str, extras: tuple[str, ...]) -> list[str]:
    """The requirements of the project and these extras that the lock has no fitting version for."""
    pinned = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE)}
    asked = chain(project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras))
    return [line for line in asked if not _is_in(pinned, Requirement(line))]


def _is_in(pinned: dict[str, str], requirement: Requirement) -> bool:
    version = pinned.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def main() -> int:
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    found = [(name, line) for name, extras in LOCKS.items() for line in missing(project, Path(name).read_text("utf-8"), extras)]
    for name, line in found:
        print(f"{name} does not hold {line}: make lock")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
