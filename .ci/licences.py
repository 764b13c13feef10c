"""Say which dependency has a licence that is not among releases/licences.toml, or names none. `--write FILE` lists all of them.

Python's are those installed, which are those of requirements-dev.lock; JavaScript's are those of each package-lock.json.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from license_expression import ExpressionError, get_spdx_licensing

RULES = Path("releases/licences.toml")
LOCKS = ("frontend", "tests/audits", "tests/js", "tests/relay", "bench/rivals/postgraphile")
OURS = "gql-server"
UNKNOWN = "UNKNOWN"
SPDX = get_spdx_licensing()


class Dependency(NamedTuple):
    """A package, and the licence that it names: an SPDX expression, words of its own, or nothing."""

    name: str
    version: str
    licence: str


def refused(dependencies: list[Dependency], rules: Mapping[str, Any]) -> list[str]:
    """A sentence for each dependency that may not be used, and for each exception that is none."""
    bad = [each for each in dependencies if not is_allowed(each.licence, rules["allowed"], rules["words"])]
    found = [f"{each.name} {each.version} is under `{each.licence}`" for each in bad if each.name not in rules["accepted"]]
    names = {each.name for each in bad}
    return found + [f"{RULES} accepts {name}, which needs no exception" for name in rules["accepted"] if name not in names]


def is_allowed(licence: str, allowed: list[str], words: Mapping[str, str]) -> bool:
    """True if those are met by what is allowed: one side of an OR, both of an AND."""
    try:
        expression = SPDX.parse(words.get(licence, licence), validate=True)
    except ExpressionError:
        return False
    if expression is None:
        return False
    met = {symbol: SPDX.TRUE if str(symbol) in allowed else SPDX.FALSE for symbol in expression.symbols}
    return expression.subs(met, simplify=True) == SPDX.TRUE


def python(words: Mapping[str, str]) -> Iterator[Dependency]:
    """Python packages of this environment but ours, with the licences they name."""
    command = ["pip-licenses", "--from=all", "--format=json", "--with-system"]
    for each in json.loads(subprocess.run(command, check=True, capture_output=True).stdout):
        if each["Name"] != OURS:
            yield Dependency(each["Name"], each["Version"], said(each, words))


def said(package: Mapping[str, str], words: Mapping[str, str]) -> str:
    """The licence that a package names, where it says it best. Of several classifiers all must be met."""
    if package["License-Expression"] != UNKNOWN:
        return package["License-Expression"]
    if package["License-Classifier"] != UNKNOWN:
        return " AND ".join(words.get(each, each) for each in package["License-Classifier"].split("; "))
    return package["License-Metadata"].partition("\n")[0]


def javascript(folder: Path) -> Iterator[Dependency]:
    """Packages of a folder's npm lock file, with the licences it names."""
    packages = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    for path, each in packages.items():
        if "node_modules/" in path and not each.get("link"):
            licence = each.get("license", UNKNOWN)
            yield Dependency(
                path.rpartition("node_modules/")[2], each["version"], licence if isinstance(licence, str) else UNKNOWN
            )


def main() -> int:
    rules = tomllib.loads(RULES.read_text("utf-8"))
    dependencies = sorted({*python(rules["words"]), *(each for folder in LOCKS for each in javascript(Path(folder)))})
    if "--write" in sys.argv:
        listed = [each._asdict() for each in dependencies]
        Path(sys.argv[-1]).write_text(json.dumps(listed, indent=2, ensure_ascii=False) + "\n", "utf-8")
    found = refused(dependencies, rules)
    for sentence in found:
        print(sentence)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
