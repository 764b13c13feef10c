"""The bundled directory of units and their principals: what an institution's unit API would answer."""

import csv
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class DirectoryUnit:
    """A unit; `path` are the codes from the root to itself, separated by spaces; the root has level 1."""

    institutional_code: str
    institutional_id: str
    name: str
    level: int
    parent_code: str | None
    path: str
    unit_type: str
    principal_user_institutional_id: str | None


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """A person who heads at least one unit."""

    institutional_id: str
    email: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Directory:
    """Units, parents before children, and the users who are their principals."""

    units: tuple[DirectoryUnit, ...]
    users: tuple[DirectoryUser, ...]

    def pages(self, size: int = 100) -> Iterator["Directory"]:
        """The directory in pages of `size` units, each with the principals of its own units."""
        users = {user.institutional_id: user for user in self.users}
        for start in range(0, len(self.units), size):
            units = self.units[start : start + size]
            principals = {unit.principal_user_institutional_id for unit in units}
            yield Directory(units, tuple(user for key, user in users.items() if key in principals))


def read_directory() -> Directory:
    """All 2,231 units and their principals."""
    paths: dict[str, str] = {}
    return Directory(
        units=tuple(_unit(row, paths) for row in _rows("units.csv")),
        users=tuple(_user(row) for row in _rows("users.csv")),
    )


def _unit(row: dict[str, str], paths: dict[str, str]) -> DirectoryUnit:
    code, parent = row["institutional_code"], row["parent_code"] or None
    path = paths[code] = f"{paths[parent]} {code}" if parent else code
    return DirectoryUnit(
        institutional_code=code,
        institutional_id=row["institutional_id"],
        name=row["name"],
        level=len(path.split()),
        parent_code=parent,
        path=path,
        unit_type=row["unit_type"],
        principal_user_institutional_id=row["principal_user_institutional_id"] or None,
    )


def _user(row: dict[str, str]) -> DirectoryUser:
    name = row["display_name"]
    mailbox = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace(" ", ".")
    return DirectoryUser(row["institutional_id"], f"{mailbox}@example.org", name)


def _rows(name: str) -> Iterator[dict[str, str]]:
    text = (files("gql_server.carbon") / "data" / name).read_text(encoding="utf-8")
    yield from csv.DictReader(text.splitlines())
