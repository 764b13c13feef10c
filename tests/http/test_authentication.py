from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from gql_server.errors import Unauthenticated
from gql_server.http.authentication import TokenAuthority
from gql_server.policy import VIEWS_EDIT, Role, permissions_of

KEY = "a key that is long enough for HS256"
AUTHORITY = TokenAuthority(KEY, "issuer", "audience")
CLAIMS = {
    "sub": "ada",
    "email": "ada@example.org",
    "name": "Ada",
    "provider": "DEFAULT",
    "roles": [{"role": "calco2.backoffice.metier"}],
    "type": "access",
    "iss": "issuer",
    "aud": "audience",
    "iat": timedelta(0),
    "exp": timedelta(hours=1),
}
MISSING = object()


def _token(key: str = KEY, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token that is signed now; a timedelta among its claims is an instant so much later."""
    now = datetime.now(UTC)
    given = {name: value for name, value in (CLAIMS | claims).items() if value is not MISSING}
    merged = {name: now + value if isinstance(value, timedelta) else value for name, value in given.items()}
    return jwt.encode(merged, key, algorithm, headers)


def _refused(authorization: str | None) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        AUTHORITY.authenticate(authorization)
    return refusal.value.message


def test_a_token_names_its_viewer():
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    viewer = AUTHORITY.authenticate(f"Bearer {_token(exp=expires_at)}")

    assert (viewer.subject, viewer.email, viewer.display_name, viewer.provider) == ("ada", "ada@example.org", "Ada", "DEFAULT")
    assert viewer.permissions == permissions_of(Role.OPERATOR, None)
    assert viewer.expires_at == expires_at.replace(microsecond=0)


def test_the_scheme_is_case_insensitive():
    assert AUTHORITY.authenticate(f"bearer {_token()}").subject == "ada"


def test_roles_add_up_and_unknown_ones_give_nothing():
    roles = [
        {"role": "calco2.user.principal", "unit": "1"},
        {"role": "calco2.user.principal", "unit": "2"},
        {"role": "calco2.user.principal"},
        {"role": "calco2.user.principal", "unit": 3},
        {"role": "something.else", "unit": "4", "extra": True},
    ]

    viewer = AUTHORITY.authenticate(f"Bearer {_token(roles=roles)}")

    assert {permission.partition("@")[2] for permission in viewer.permissions - {VIEWS_EDIT}} == {"1", "2"}


@pytest.mark.parametrize(
    "claims",
    [
        *({name: MISSING} for name in ("exp", "iat", "sub", "aud", "iss", "type", "provider")),
        {"exp": timedelta(seconds=-1)},
        {"exp": 10**12},
        {"exp": 10**30},
        {"exp": 1e18},
        {"exp": 10**18},
        {"sub": "a\0"},
        {"sub": "x" * 2000},
        {"name": "\ud800"},
        {"iat": timedelta(hours=1)},
        {"nbf": timedelta(hours=1)},
        {"aud": "other"},
        {"aud": ["audience", "other"]},
        {"iss": "other"},
        {"type": "refresh"},
        {"provider": "NOWHERE"},
        {"provider": "1"},
        {"provider": ["DEFAULT"]},
        {"name": 7},
        {"email": {"a": 1}},
        {"roles": ["calco2.backoffice.admin"]},
        {"roles": [{"role": 1}]},
        {"roles": 7},
        {"roles": {"role": "calco2.backoffice.admin"}},
    ],
)
def test_a_token_with_other_claims_is_refused(claims: dict[str, Any]):
    _refused(f"Bearer {_token(**claims)}")


def test_the_clock_of_who_signs_may_be_a_little_ahead():
    now = datetime.now(UTC)

    assert AUTHORITY.authenticate(f"Bearer {_token(iat=now + timedelta(seconds=5), nbf=now + timedelta(seconds=5))}")
    _refused(f"Bearer {_token(iat=now + timedelta(seconds=60))}")


@pytest.mark.parametrize("name", ["crit", "jku", "jwk", "x5u"])
def test_a_token_that_brings_its_own_rules_or_keys_is_refused(name: str):
    _refused(f"Bearer {_token(headers={name: ['exp']})}")


def test_only_the_one_algorithm_is_accepted():
    _refused(f"Bearer {_token(algorithm='HS384', key=KEY + KEY)}")
    _refused(f"Bearer {_token(algorithm='none', key='')}")


def test_every_refusal_reads_the_same():
    messages = {
        _refused(authorization)
        for authorization in (
            None,
            "",
            "Bearer",
            "Bearer ",
            "Bearer nonsense",
            "Bearer a.b.c",
            f"Basic {_token()}",
            _token(),
            f"Bearer {_token(key='another key that is long enough!!')}",
            f"Bearer {_token()[:-3]}",
            f"Bearer {_token(exp=timedelta(days=-1))}",
        )
    }

    assert len(messages) == 1


@pytest.mark.parametrize(
    ("role", "unit", "granted"),
    [
        ("superadmin", None, Role.SUPERADMIN),
        ("operator", None, Role.OPERATOR),
        ("principal", "10208", Role.PRINCIPAL),
        ("standard", None, Role.STANDARD),
    ],
)
def test_minted_tokens_are_accepted(role: str, unit: str | None, granted: Role):
    viewer = AUTHORITY.authenticate(f"Bearer {AUTHORITY.mint(role, unit=unit, provider='TEST')}")

    assert viewer.permissions == permissions_of(granted, unit)
    assert viewer.provider == "TEST"


def test_a_minted_token_expires():
    _refused(f"Bearer {AUTHORITY.mint('operator', lifetime=timedelta(seconds=-1))}")


@pytest.mark.parametrize("arguments", [{"role": "root"}, {"role": "principal"}, {"role": "operator", "provider": "NOWHERE"}])
def test_what_cannot_be_minted_is_said(arguments: dict[str, Any]):
    with pytest.raises(ValueError, match=r"."):
        AUTHORITY.mint(**arguments)


def test_the_key_is_not_shown():
    assert KEY not in repr(AUTHORITY)


def test_the_signature_of_a_token_is_verified_once_and_its_expiry_each_time(monkeypatch: pytest.MonkeyPatch):
    expiry = datetime.now(UTC) + timedelta(minutes=5)
    token, verified = _token(exp=expiry), list[str]()
    decode = jwt.decode
    monkeypatch.setattr(jwt, "decode", lambda token, *rest, **named: verified.append(token) or decode(token, *rest, **named))

    assert [AUTHORITY.authenticate(f"Bearer {token}").subject for _ in range(3)] == ["ada"] * 3
    assert verified == [token]

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return expiry

    monkeypatch.setattr("gql_server.http.authentication.datetime", Later)
    _refused(f"Bearer {token}")


def test_what_was_verified_for_one_authority_is_not_for_another():
    token = _token()
    assert AUTHORITY.authenticate(f"Bearer {token}").subject == "ada"
    with pytest.raises(Unauthenticated):
        TokenAuthority("another key that is long enough too", "issuer", "audience").authenticate(f"Bearer {token}")
