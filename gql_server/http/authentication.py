"""Bearer tokens: JWT, HS256, checked in full; what they say becomes a Viewer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Protocol, cast

import jwt

from gql_server.db.models import Provider
from gql_server.errors import Unauthenticated
from gql_server.policy import Role, Viewer, permissions_of

ALGORITHM = "HS256"
REQUIRED_CLAIMS = ["exp", "iat", "sub", "aud", "iss"]
REFUSED_HEADERS = ("crit", "jku", "jwk", "x5u")
TOKENS_KEPT = 4096
TEXT_BYTES = 1024
HEADER_CHARACTERS_MAX = 1024
"""Of the header of a token that is remembered."""
LEEWAY = timedelta(seconds=10)
"""By how much the clock of who signs a token may be ahead. An expired one is never accepted."""
DEVELOPMENT_ROLES = {
    "superadmin": Role.SUPERADMIN,
    "operator": Role.OPERATOR,
    "principal": Role.PRINCIPAL,
    "standard": Role.STANDARD,
}


class TokenSettings(Protocol):
    """Settings of tokens."""

    jwt_issuer: str
    jwt_audience: str

    def signing_key(self) -> str: ...


@dataclass(frozen=True, slots=True, eq=False)
class TokenAuthority:
    """The one key with which tokens are made and checked, and who they must come from and be for."""

    key: str = field(repr=False)
    issuer: str
    audience: str

    @classmethod
    def of(cls, settings: "TokenSettings") -> "TokenAuthority":
        """The authority that the settings describe."""
        return cls(settings.signing_key(), settings.jwt_issuer, settings.jwt_audience)

    def mint(
        self,
        role: str,
        *,
        unit: str | None = None,
        provider: str = Provider.DEFAULT,
        lifetime: timedelta = timedelta(hours=8),
        subject: str | None = None,
        name: str | None = None,
    ) -> str:
        """A token for a development role: superadmin, operator, principal (of a unit), standard. Raises ValueError."""
        if role not in DEVELOPMENT_ROLES:
            raise ValueError(f"Unknown role {role!r}: one of {', '.join(DEVELOPMENT_ROLES)}.")
        if role == "principal" and not unit:
            raise ValueError("A principal needs a unit.")
        subject = subject or (f"{role}-{unit}" if unit else role)
        now = datetime.now(UTC)
        claims = {
            "sub": subject,
            "email": f"{subject}@example.org",
            "name": name or subject.replace("-", " ").capitalize(),
            "provider": Provider(provider).value,
            "roles": [{"role": DEVELOPMENT_ROLES[role].value, **({"unit": unit} if unit else {})}],
            "type": "access",
            "iss": self.issuer,
            "aud": self.audience,
            "iat": now,
            "exp": now + lifetime,
        }
        return jwt.encode(claims, self.key, ALGORITHM)

    def authenticate(self, authorization: str | None) -> Viewer:
        """The viewer of an Authorization header. Raises Unauthenticated, which never says what was wrong."""
        return self.viewer(bearer(authorization))

    def viewer(self, token: str | None) -> Viewer:
        """The viewer of a token. Raises Unauthenticated."""
        try:
            viewer = None if token is None else _verified(self, token)
        except (jwt.PyJWTError, ValueError, OverflowError, OSError):  # an instant may be beyond the calendar, or the clock
            viewer = None
        return unexpired(viewer)

    def verified(self, token: str) -> Viewer:
        """The viewer of a token that is valid now. Raises jwt.PyJWTError, ValueError or OverflowError."""
        if not header_of(token).keys().isdisjoint(REFUSED_HEADERS):
            raise ValueError
        return _viewer(self._claims(token))

    def _claims(self, token: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            self.key,
            algorithms=[ALGORITHM],
            audience=self.audience,
            issuer=self.issuer,
            leeway=LEEWAY,
            options={"require": REQUIRED_CLAIMS, "strict_aud": True},
        )


def header_of(token: str) -> Mapping[str, Any]:
    """The header of a token, unverified; of those that are alike it is read once. Raises jwt.PyJWTError."""
    encoded = token.partition(".")[0]
    return _read_header(encoded) if len(encoded) <= HEADER_CHARACTERS_MAX else _read_header.__wrapped__(encoded)


@lru_cache(maxsize=256)
def _read_header(encoded: str) -> Mapping[str, Any]:
    return jwt.get_unverified_header(f"{encoded}..")


def bearer(authorization: str | None) -> str | None:
    """The token of an Authorization header."""
    scheme, _, token = (authorization or "").partition(" ")
    return token if scheme.lower() == "bearer" else None


def unexpired(viewer: Viewer | None) -> Viewer:
    """The viewer of a token that was good once, if it still is. Raises Unauthenticated."""
    if viewer is None or viewer.expires_at is None or viewer.expires_at <= datetime.now(UTC):
        raise refused()
    return viewer


def refused() -> Unauthenticated:
    return Unauthenticated("A valid access token is needed: send `Authorization: Bearer <token>`.")


@lru_cache(maxsize=TOKENS_KEPT)
def _verified(authority: TokenAuthority, token: str) -> Viewer:
    """The viewer of a token, whose signature is verified once. It may have expired since."""
    return authority.verified(token)


def _viewer(claims: dict[str, Any]) -> Viewer:
    """Raises ValueError for claims of another shape."""
    roles = claims.get("roles", [])
    if claims.get("type") != "access" or not isinstance(roles, list):
        raise ValueError
    return Viewer(
        subject=text_of(claims, "sub") or "",
        provider=Provider(claims.get("provider")).value,
        permissions=frozenset[str]().union(*map(_permissions, cast(list[object], roles))),
        display_name=text_of(claims, "name"),
        email=text_of(claims, "email"),
        expires_at=datetime.fromtimestamp(int(claims["exp"]), UTC),
    )


def _permissions(entry: object) -> frozenset[str]:
    match entry:
        case {"role": str(role), **rest}:
            unit = rest.get("unit")
            return permissions_of(role, cast(str, unit) if is_text(unit) else None)
        case _:
            raise ValueError


def text_of(claims: Mapping[str, Any], name: str) -> str | None:
    """A claim that is text, if it is there. Raises ValueError."""
    value = claims.get(name)
    if value is not None and not is_text(value):
        raise ValueError
    return value


def is_text(value: object) -> bool:
    """True for text that can be kept and sent: no NUL, no half of a character. Raises ValueError for the latter."""
    return isinstance(value, str) and len(value.encode()) <= TEXT_BYTES and "\0" not in value
