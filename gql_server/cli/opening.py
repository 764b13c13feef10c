"""Settings, the database and sockets, as commands open them: sockets before anything is started."""

import contextlib
import socket
from collections.abc import Generator, Mapping
from ipaddress import ip_address

from gql_server import logs
from gql_server.db import embedded
from gql_server.errors import Stop
from gql_server.settings import Settings

UNREAD_MILLISECONDS = 11_000
"""Time for which a client may leave unacknowledged what it was sent: a little longer than the server waits itself."""


def settings(host: str | None = None, port: int | None = None, *, otherwise: Mapping[str, object] = {}) -> Settings:
    """The settings of the environment, and of the command line before them; `otherwise` stands for what neither says."""
    for name, nearest in Settings.unknown_names():
        raise Stop(f"{name} is not a setting{f': is {nearest} meant?' if nearest else ''}")
    given = {"host": host, "port": port}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    unsaid = {name: value for name, value in otherwise.items() if name not in settings.model_fields_set}
    settings = settings.model_copy(update=unsaid)
    logs.configure(settings.log_level, json=settings.log_json)
    return settings


def refuse_development_secret(settings: Settings) -> None:
    """Raises Stop where others could reach a server whose tokens anybody may mint."""
    if settings.has_development_secret and not is_loopback(settings.host):
        raise Stop(
            f"GQL_JWT_SECRET is one that others know, and {settings.host} is not this machine alone: give a secret of its own, "
            "as from `openssl rand -base64 48`, or listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """True if only this machine reaches that address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def database(settings: Settings, *, of_any_version: bool = False) -> Generator[str]:
    """The connection string: the given database, or the embedded one for as long as we need it."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
    else:
        version = embedded.version_of(settings.data_dir.expanduser() / "postgres") if of_any_version else embedded.VERSION
        with embedded.start(settings.data_dir, version=version) as dsn:
            yield dsn


@contextlib.contextmanager
def listening(settings: Settings) -> Generator[socket.socket]:
    """The listening socket, taken before anything is started, so that a taken port costs nothing."""
    with _bound(settings.host, settings.port, "choose another with --port or GQL_PORT") as listener:
        yield listener


@contextlib.contextmanager
def watched(settings: Settings, otherwise: int | None = None) -> Generator[socket.socket | None]:
    """The socket for machines that watch, if one is wanted; at the other port, if none is named and that is free."""
    with contextlib.ExitStack() as opened:
        listener = None
        if settings.metrics_port is not None:
            hint = "choose another with GQL_METRICS_PORT"
            listener = opened.enter_context(_bound(settings.metrics_host, settings.metrics_port, hint))
        elif otherwise is not None:
            with contextlib.suppress(Stop, OSError):
                free = opened.enter_context(_bound(settings.metrics_host, otherwise, ""))
                free.listen()  # until somebody listens, others can bind it too
                listener = free
        yield listener


@contextlib.contextmanager
def _bound(host: str, port: int, hint: str) -> Generator[socket.socket]:
    """Raises Stop for an address that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it: whoever takes nothing in is given up
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Stop(f"cannot listen on {host}:{port}, {(error.strerror or 'refused').lower()}; {hint}") from None
    try:
        yield listener
    finally:
        listener.close()
