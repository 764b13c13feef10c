"""Roles from the claims of an identity provider's tokens: by configuration, as each provider says them elsewhere."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from gql_server.http.authentication import DEVELOPMENT_ROLES, is_text, text_of
from gql_server.policy import Role, Viewer, permissions_of

OTHER_KINDS = ("ID", "Refresh", "Offline", "Logout")
"""Values of Keycloak's claim `typ` of tokens that are not for an API."""
RoleRules = Mapping[str, Mapping[str, str]]
"""By the path of a claim, such as `realm_access.roles`: the role of each of its values, in which `*` stands for a unit."""


def check_rules(rules: RoleRules) -> None:
    """Raises ValueError for a role that there is not, and for a principal without a unit."""
    for claim, values in rules.items():
        for value, role in values.items():
            if role not in DEVELOPMENT_ROLES:
                raise ValueError(f"{role!r} of {claim} is not one of {', '.join(DEVELOPMENT_ROLES)}")
            if (value.count("*") == 1) != (role == "principal"):
                raise ValueError(f"{value!r} of {claim}: a principal's value, and no other, has one * for the unit")


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the identity provider: subject, display name, e-mail address, and roles with the unit of each."""

    subject: str
    display_name: str | None
    email: str | None
    roles: frozenset[tuple[Role, str | None]]

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Person":
        """The person whom `as_json` has written down."""
        roles = frozenset((Role(role), unit) for role, unit in kept["roles"])
        return cls(kept["subject"], kept["displayName"], kept["email"], roles)

    def as_json(self) -> dict[str, Any]:
        """The person as values of JSON."""
        roles = sorted(self.roles, key=str)
        return {"subject": self.subject, "displayName": self.display_name, "email": self.email, "roles": roles}

    def as_viewer(self, directory: str, expires_at: datetime) -> Viewer:
        """The person as a viewer of this directory, until then."""
        permissions = frozenset[str]().union(*(permissions_of(role, unit) for role, unit in self.roles))
        return Viewer(self.subject, directory, permissions, self.display_name, self.email, expires_at)


def viewer_from(claims: Mapping[str, Any], rules: RoleRules, directory: str) -> Viewer:
    """The viewer of an access token's verified claims. Raises ValueError for claims of another shape, or of another token."""
    if claims.get("typ") in OTHER_KINDS:
        raise ValueError
    return person_from(claims, rules).as_viewer(directory, datetime.fromtimestamp(int(claims["exp"]), UTC))


def person_from(claims: Mapping[str, Any], rules: RoleRules) -> Person:
    """The person whom verified claims describe. Raises ValueError for claims of another shape."""
    told = ((value, values) for path, values in rules.items() for value in _values(claims, path))
    roles = frozenset(role for value, values in told for role in _roles(value, values))
    if not (subject := text_of(claims, "sub")):
        raise ValueError
    name = text_of(claims, "preferred_username")
    email = text_of(claims, "email") or (name if name and "@" in name else None)
    return Person(subject, text_of(claims, "name") or name, email, roles)


def _values(claims: Mapping[str, Any], path: str) -> Iterator[str]:
    """The texts of a claim, which a namespace such as `https://example.org/roles` is the whole name of."""
    if path == "email" and claims.get("email_verified") is False:
        return
    found: object = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = cast(Mapping[str, object], found).get(part) if isinstance(found, Mapping) else None
    for each in cast(Sequence[object], found if isinstance(found, list) else [found]):
        if is_text(each):
            yield cast(str, each)


def _roles(value: str, rules: Mapping[str, str]) -> Iterator[tuple[Role, str | None]]:
    for pattern, role in rules.items():
        before, _, after = pattern.partition("*")
        match = re.fullmatch(f"{re.escape(before)}([\\w.-]+){re.escape(after)}", value) if "*" in pattern else None
        if match or pattern == value:
            yield DEVELOPMENT_ROLES[role], match[1] if match else None
