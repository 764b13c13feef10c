"""Service tokens from the command line: made, listed and revoked."""

from collections.abc import Collection
from datetime import timedelta

from gql_server.credentials import Service, ServiceTokens
from gql_server.db import work_engine
from gql_server.errors import Stop
from gql_server.http.authentication import DEVELOPMENT_ROLES
from gql_server.policy import SCOPES
from gql_server.processes.database import prepare
from gql_server.settings import Settings

NAME_LENGTH = 100


def check(name: str, scopes: Collection[str], role: str, unit: str | None) -> None:
    """Raises Stop for what makes no token."""
    if unknown := [scope for scope in scopes if scope not in SCOPES]:
        raise Stop(f"{unknown[0]} is not a scope; there are: {', '.join(SCOPES)}")
    if not scopes:
        raise Stop(f"say what it may do, with --scope; there are: {', '.join(SCOPES)}")
    if (role == "principal") != (unit is not None):
        raise Stop("a principal, and nobody else, has a unit: --role principal --unit 10208")
    if not name.strip() or len(name) > NAME_LENGTH or not name.isprintable():
        raise Stop(f"a name has 1 to {NAME_LENGTH} characters")


async def create(
    settings: Settings,
    dsn: str,
    name: str,
    *,
    scopes: Collection[str],
    role: str,
    unit: str | None,
    provider: str,
    days: int,
) -> str:
    """A new token of a service, of which `check` has nothing to say."""
    await prepare(settings, dsn)
    engine = work_engine(dsn, concurrency=1)
    try:
        return await ServiceTokens(engine).add(
            name.strip(),
            role=DEVELOPMENT_ROLES[role].value,
            unit=unit,
            provider=provider,
            scopes=set(scopes),
            lifetime=timedelta(days=days),
        )
    finally:
        await engine.dispose()


async def listed(settings: Settings, dsn: str) -> list[Service]:
    """Every token that was made, the newest first."""
    await prepare(settings, dsn)
    engine = work_engine(dsn, concurrency=1)
    try:
        return await ServiceTokens(engine).all()
    finally:
        await engine.dispose()


async def revoke(settings: Settings, dsn: str, id: int) -> str:
    """Take a token back; the name of its service. Raises Stop."""
    await prepare(settings, dsn)
    engine = work_engine(dsn, concurrency=1)
    try:
        name = await ServiceTokens(engine).revoke(id)
    finally:
        await engine.dispose()
    if name is None:
        raise Stop(f"there is no service token {id} that was not revoked: `gql-server service-token list` shows them")
    return name
