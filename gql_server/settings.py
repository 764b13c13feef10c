"""Every knob of the server, read once from the environment (prefix `GQL_`) by the command line."""

import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

JWT_SECRET_FILE = "jwt_secret"
PREFIX, ENV_FILE = "GQL_", ".env"
INSTANT = timedelta(0)
ORIGIN = r"https?://[^/?#@*]+/?"
LISTS = ("job_modules", "allowed_origins", "allowed_hosts", "forwarded_allow_ips", "trusted_documents")
SECRET_LENGTH_MIN, SECRET_CHARACTERS_MIN = 32, 10
"""Characters, and different ones, of a secret that nobody guesses."""
OTHERS = ("GQL_URL", "GQL_TOKEN", "GQL_TEST_", "GQL_BENCH_", "GQL_REPLAY_", "GQL_FEED_", "GQL_HICCUPS_", "GQL_DATABASE_DOWN_")
"""Beginnings of names that examples, benchmarks and tests read."""


class Settings(BaseSettings):
    """Settings of one process. Durations in the environment are seconds, or ISO 8601 such as `PT10S`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=ENV_FILE, extra="ignore")

    database_url: Annotated[
        SecretStr | None,
        Field(
            description="PostgreSQL 16 or newer, as postgresql://user:password@host:port/database. "
            "Unset: the embedded PostgreSQL, kept under the data directory."
        ),
    ] = None
    data_dir: Annotated[Path, Field(description="Where the embedded database and the secrets are kept.")] = Path(".data")

    host: Annotated[str, Field(description="Address the API listens on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="Port the API listens on.")] = 8000
    base_path: Annotated[
        str, Field(description="Path under which a proxy shows the server, such as /gql, whether or not it takes it off.")
    ] = ""
    public_origin: Annotated[
        str | None,
        Field(description="Origin under which browsers see us, as https://ledger.example.org. Unset: what each request says."),
    ] = None
    allowed_origins: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(
            description="Origins, beside the server's own, whose pages may ask and subscribe, such as https://app.example.org; "
            "by commas, or * for all."
        ),
    ] = ()
    allowed_hosts: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(description="Names the server is asked under, by commas; *.example.org for one level below. Unset: any."),
    ] = ()
    forwarded_allow_ips: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."),
    ] = ("127.0.0.1", "::1")

    jwt_secret: Annotated[
        SecretStr | None,
        Field(
            description="Key that signs bearer tokens (HS256). Unset: generated once, and kept in the data directory.",
        ),
    ] = None
    jwt_issuer: Annotated[str, Field(description="Required `iss` claim.")] = "gql-server"
    jwt_audience: Annotated[str, Field(description="Required `aud` claim.")] = "gql-server"

    oidc_issuer: Annotated[
        str | None,
        Field(
            description="Identity provider whose access tokens (RS256, ES256, EdDSA) are accepted beside our own, by the name "
            "that their `iss` has; its keys are found by OIDC discovery."
        ),
    ] = None
    oidc_audience: Annotated[str | None, Field(description="Required `aud` of its tokens. Unset: GQL_JWT_AUDIENCE.")] = None
    oidc_keys_url: Annotated[str | None, Field(description="Where its keys are (JWKS), for one without discovery.")] = None
    oidc_roles: Annotated[
        dict[str, dict[str, str]],
        NoDecode,
        Field(
            description="Roles by the values of its claims, as JSON: "
            '{"realm_access.roles": {"gql-operators": "operator", "gql-unit-*": "principal"}}; * is the unit of a principal.'
        ),
    ] = {}
    oidc_client_id: Annotated[
        str | None,
        Field(
            description="Name under which it knows this server, with the address /sign-in/callback. Set: people sign in there."
        ),
    ] = None
    oidc_client_secret: Annotated[
        SecretStr | None, Field(description="Secret of that client. Unset: a public one, by PKCE alone.")
    ] = None
    oidc_scopes: Annotated[
        str, Field(description="Scopes that people are asked for; with offline_access where refresh tokens need it.")
    ] = "openid profile email"
    oidc_parameters: Annotated[
        dict[str, str],
        NoDecode,
        Field(description='Further parameters of a sign-in, as JSON: {"access_type": "offline"} for Google.'),
    ] = {}
    session_lifetime: Annotated[
        timedelta, Field(gt=INSTANT, description="Time after which people sign in again, however often it was renewed.")
    ] = timedelta(hours=12)
    oidc_directory: Annotated[
        Literal["ACCRED", "DEFAULT", "TEST"], Field(description="Directory (`provider`) that its people belong to.")
    ] = "DEFAULT"

    upload_max_bytes: Annotated[int, Field(ge=1, description="Largest file accepted for upload.")] = 100 * 1024 * 1024
    upload_retention: Annotated[
        timedelta, Field(gt=INSTANT, description="Age at which an uploaded file is removed once its jobs have finished.")
    ] = timedelta(days=30)
    max_rejected_share: Annotated[
        float,
        Field(ge=0, le=1, description="Share of rejected rows above which a file is refused, unless its upload says another."),
    ] = 0.5
    files_bucket_url: Annotated[
        str | None,
        Field(description="Where uploaded files are kept, as s3://bucket/prefix. Unset: in the database."),
    ] = None
    files_endpoint: Annotated[
        str | None, Field(description="Address of an S3-compatible service. Unset: Amazon's, of the region.")
    ] = None
    files_region: Annotated[str | None, Field(description="Region of the bucket.")] = None
    files_access_key_id: Annotated[
        str | None, Field(description="Access key of the bucket. Unset: the machine's own credentials.")
    ] = None
    files_secret_access_key: Annotated[SecretStr | None, Field(description="Secret of the access key.")] = None

    trusted_documents: Annotated[
        tuple[Path, ...],
        NoDecode,
        Field(description="Manifests of documents that are asked for by id (graphql-codegen's, Relay's, Apollo's), by commas."),
    ] = ()
    trusted_documents_only: Annotated[
        bool, Field(description="Execute no others, but for those who have the permission `backoffice.api:explore`.")
    ] = False
    introspection: Annotated[
        Literal["everyone", "permitted"],
        Field(description="Who is told the schema, also by suggestions: everyone, or those with `backoffice.api:explore`."),
    ] = "everyone"
    request_max_bytes: Annotated[int, Field(ge=1024, description="Largest GraphQL request body.")] = 256 * 1024
    live_operations_max: Annotated[int, Field(ge=1, description="Subscriptions one API process serves at a time.")] = 10_000
    live_operations_per_viewer_max: Annotated[
        int, Field(ge=1, description="Subscriptions of one viewer at a time, per process.")
    ] = 1_000
    connections_max: Annotated[
        int, Field(ge=1, description="HTTP connections one API process serves at a time; probes are answered beyond, too.")
    ] = 4_096
    sockets_max: Annotated[int, Field(ge=1, description="WebSockets one API process has open at a time.")] = 4_096
    sockets_per_address_max: Annotated[
        int,
        Field(ge=1, description="WebSockets of one address at a time, per process; a proxy's own unless it is believed."),
    ] = 1_000
    sockets_per_viewer_max: Annotated[int, Field(ge=1, description="WebSockets of one viewer at a time, per process.")] = 250
    page_size_max: Annotated[int, Field(ge=1, description="Largest `first` or `last` of a connection.")] = 200

    cost_max: Annotated[int, Field(ge=1, description="What one operation may cost.")] = 50_000
    cost_budget: Annotated[int, Field(ge=1, description="What a viewer may spend in a minute, at each API process.")] = (
        2_000_000
    )

    database_pool_size: Annotated[int, Field(ge=1, description="Connections the API keeps for reads.")] = 10
    database_reads_per_viewer_max: Annotated[
        int | None,
        Field(ge=1, description="Connections one viewer's queries have at a time. Unset: half of those the API keeps."),
    ] = None
    statement_timeout: Annotated[timedelta, Field(gt=INSTANT, description="Longest statement of an API read.")] = timedelta(
        seconds=5
    )

    database_wait: Annotated[
        timedelta, Field(ge=INSTANT, description="How long `serve` and `worker` wait for a database that is starting.")
    ] = timedelta(seconds=60)

    worker_concurrency: Annotated[int, Field(ge=2, le=64, description="Jobs one worker runs at a time.")] = 4
    worker_id: Annotated[str | None, Field(description="Name of this worker. Unset: host, process id and a suffix.")] = None
    git_sha: Annotated[
        str | None, Field(description="Revision that this worker runs, such as a commit. Unset: the version of this build.")
    ] = None
    lease: Annotated[timedelta, Field(gt=INSTANT, description="A job whose worker was silent this long is claimed again.")] = (
        timedelta(seconds=10)
    )
    sweep_interval: Annotated[timedelta, Field(gt=INSTANT, description="Time between two reconciling sweeps.")] = timedelta(
        seconds=60
    )

    job_modules: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(description="Modules with job types of your own, as import paths separated by commas."),
    ] = ()

    metrics_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65535,
            description="Port of /metrics, /livez and /readyz of `serve` and `worker`, which asks for no token. Unset: none; "
            "the demo takes 9090.",
        ),
    ] = None
    metrics_host: Annotated[str, Field(description="Address that port listens on.")] = "127.0.0.1"
    otlp_endpoint: Annotated[
        str | None,
        Field(description="OTLP collector that traces go to, as http://collector:4318. Unset: nothing is recorded."),
    ] = None
    trace_share: Annotated[
        float,
        Field(ge=0, le=1, description="Share of the requests that is recorded, of those that begin a trace here."),
    ] = 0.1
    slow_operation: Annotated[
        timedelta, Field(gt=INSTANT, description="An operation that takes as long is named in the log.")
    ] = timedelta(seconds=1)

    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], Field(description="Least severe log level written.")
    ] = "INFO"
    log_json: Annotated[bool, Field(description="Write logs as JSON lines.")] = False

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None or not url.get_secret_value():
            return None
        scheme, separator, rest = url.get_secret_value().partition("://")
        if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres"):
            raise ValueError("must begin with postgresql://")
        return SecretStr(f"postgresql://{rest}")

    @field_validator(
        "statement_timeout",
        "database_wait",
        "lease",
        "sweep_interval",
        "upload_retention",
        "slow_operation",
        "session_lifetime",
        mode="before",
    )
    @classmethod
    def _in_seconds(cls, duration: object) -> object:
        """Seconds arrive from the environment as text, which pydantic takes for ISO 8601 only."""
        try:
            return float(duration) if isinstance(duration, str) else duration
        except ValueError:
            return duration

    @field_validator("oidc_roles", "oidc_parameters", mode="before")
    @classmethod
    def _in_json(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except ValueError as error:
            raise ValueError(f"must be JSON: {error}") from None

    @field_validator("jwt_secret")
    @classmethod
    def _is_long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < SECRET_LENGTH_MIN:
            raise ValueError(f"must have at least {SECRET_LENGTH_MIN} characters")
        return secret

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url or None

    @field_validator("files_bucket_url")
    @classmethod
    def _is_a_bucket(cls, url: str | None) -> str | None:
        if not url:
            return None
        scheme, separator, rest = url.partition("://")
        if scheme != "s3" or not separator or not rest.strip("/"):
            raise ValueError("must be s3://bucket or s3://bucket/prefix")
        return url

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("base_path")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        path = path.rstrip("/")
        if path and not re.fullmatch(r"(/[\w.~-]+)+", path):
            raise ValueError("must be a path such as /gql")
        return path

    @field_validator("public_origin")
    @classmethod
    def _is_an_origin(cls, origin: str | None) -> str | None:
        if origin and not re.fullmatch(ORIGIN, origin, re.IGNORECASE):
            raise ValueError("must be an origin such as https://ledger.example.org")
        return origin.rstrip("/") if origin else None

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and not re.fullmatch(ORIGIN, origin, re.IGNORECASE):
                raise ValueError(f"{origin} is not an origin such as https://app.example.org")
        return tuple(origin.rstrip("/") for origin in origins)

    @field_validator(
        "job_modules", "allowed_origins", "allowed_hosts", "forwarded_allow_ips", "trusted_documents", mode="before"
    )
    @classmethod
    def _by_commas(cls, names: object) -> object:
        return tuple(name.strip() for name in names.split(",") if name.strip()) if isinstance(names, str) else names

    @classmethod
    def unknown_names(cls) -> Iterator[tuple[str, str | None]]:
        """Names in the environment, and in the file `.env`, that begin like ours and are not, each with the nearest that is."""
        known = [f"{PREFIX}{name.upper()}" for name in cls.model_fields]
        given = {name.upper() for name in (*os.environ, *DotEnvSettingsSource(cls).env_vars)}
        for name in sorted(given.difference(known)):
            if name.startswith(PREFIX) and not name.startswith(OTHERS):
                yield name, next(iter(get_close_matches(name, known, n=1)), None)

    @property
    def has_development_secret(self) -> bool:
        """True if somebody else may know the key of tokens: it says that it is for development, or is all but one character."""
        secret = "" if self.jwt_secret is None else self.jwt_secret.get_secret_value()
        return bool(secret) and ("development" in secret.lower() or len(set(secret)) < SECRET_CHARACTERS_MIN)

    def knobs(self) -> Iterator["Knob"]:
        """Every setting, in the order of this class; the value of a secret is hidden."""
        in_file = {name.upper() for name in DotEnvSettingsSource(type(self)).env_vars}
        in_environment = {name.upper() for name in os.environ}
        for field, info in type(self).model_fields.items():
            name = f"{PREFIX}{field.upper()}"
            source = "environment" if name in in_environment else ENV_FILE if name in in_file else "default"
            yield Knob(name, _shown(getattr(self, field)), source, info.description or "")

    def reads_per_viewer(self) -> int:
        """Connections for the queries of one viewer."""
        return self.database_reads_per_viewer_max or max(1, self.database_pool_size // 2)

    def worker_name(self) -> str:
        """The name this worker goes by in the ledger; unique, also where every container has process id 1."""
        return self.worker_id or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"

    def known_signing_key(self) -> str | None:
        """The key of bearer tokens, if it was given, or a server has made one in the data directory."""
        if self.jwt_secret is not None:
            return self.jwt_secret.get_secret_value()
        path = self.data_dir / JWT_SECRET_FILE
        return path.read_text() if path.exists() else None

    def signing_key(self) -> str:
        """The key of bearer tokens; generated and kept in the data directory when none is given."""
        if self.jwt_secret is not None:
            return self.jwt_secret.get_secret_value()
        path = self.data_dir / JWT_SECRET_FILE
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(48))
        except FileExistsError:
            pass
        return path.read_text()


class Knob(NamedTuple):
    """A setting as a person reads it; `value` is empty for one that is unset."""

    name: str
    value: str
    source: str
    description: str


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case timedelta():
            return f"{value.total_seconds():g}"
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(map(str, value))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case _:
            return str(value)
