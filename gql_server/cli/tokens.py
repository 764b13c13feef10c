"""Commands for tokens: of people, for development, and of services."""

import asyncio
import sys
from typing import Annotated

import typer

from gql_server.cli import opening
from gql_server.cli.program import PROVIDERS, ROLES, app, out, services
from gql_server.errors import Stop


@app.command()
def token(
    role: Annotated[ROLES, typer.Option(help="Whom the token is for.")] = "operator",
    unit: Annotated[str | None, typer.Option(help="Institutional id of a principal's unit, for instance 10208.")] = None,
    provider: Annotated[PROVIDERS, typer.Option(help="Directory the person belongs to.")] = "ACCRED",
) -> None:
    """Mint a development token and print nothing else."""
    from gql_server.http.authentication import TokenAuthority

    settings = opening.settings()
    if settings.known_signing_key() is None:
        raise Stop(
            f"no server has made a signing key in {settings.data_dir.expanduser().absolute()}: start one there first, "
            "name its directory with GQL_DATA_DIR, or its key with GQL_JWT_SECRET"
        )
    authority = TokenAuthority.of(settings)
    try:
        minted = authority.mint(role, unit=unit, provider=provider)
    except ValueError as error:
        raise Stop(str(error)) from None
    sys.stdout.write(minted + "\n")


@services.command(name="create")
def create_service_token(
    name: Annotated[str, typer.Argument(help="Name of the service, which its actions are shown under.")],
    scope: Annotated[list[str] | None, typer.Option(help="What it may do; give one or more.")] = None,
    role: Annotated[ROLES, typer.Option(help="Whose permissions the scopes narrow.")] = "superadmin",
    unit: Annotated[str | None, typer.Option(help="Institutional id of a principal's unit, for instance 10208.")] = None,
    provider: Annotated[PROVIDERS, typer.Option(help="Directory whose ledger it works on.")] = "ACCRED",
    days: Annotated[int, typer.Option(min=1, max=366, help="Days until it expires.")] = 90,
) -> None:
    """Make a token and print nothing else: only its hash is kept."""
    from gql_server.processes import service_tokens

    settings = opening.settings()
    service_tokens.check(name, scope or [], role, unit)
    with opening.database(settings) as dsn:
        making = service_tokens.create(
            settings, dsn, name, scopes=scope or [], role=role, unit=unit, provider=provider, days=days
        )
        sys.stdout.write(asyncio.run(making) + "\n")


@services.command(name="list")
def list_service_tokens() -> None:
    """Print every token that was made, but for its secret: what it may do, until when, and when it was used last."""
    from gql_server.processes import service_tokens

    settings = opening.settings()
    with opening.database(settings) as dsn:
        for each in asyncio.run(service_tokens.listed(settings, dsn)):
            state = "revoked" if each.revoked_at else "expired" if each.has_expired else f"until {each.expires_at:%Y-%m-%d}"
            used = f"used {each.used_at:%Y-%m-%d %H:%M}" if each.used_at else "never used"
            whose = f"{each.provider}{f' unit {each.unit}' if each.unit else ''}"
            out.print(
                f"{each.id:>4}  {each.name}  {whose}  {' '.join(each.scopes)}  {state}  {used}", markup=False, highlight=False
            )


@services.command(name="revoke")
def revoke_service_token(id: Annotated[int, typer.Argument(help="Number of the token, as `list` shows it.")]) -> None:
    """Take a token back: it is refused at once, and what it has open is closed."""
    from gql_server.processes import service_tokens

    settings = opening.settings()
    with opening.database(settings) as dsn:
        name = asyncio.run(service_tokens.revoke(settings, dsn, id))
    out.print(f"token {id} of {name} is revoked", markup=False, highlight=False)
