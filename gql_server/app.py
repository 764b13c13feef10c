"""The composition root: settings in, a Starlette application and a worker out. Their life cycles own every connection."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute

from gql_server import handlers
from gql_server.commands.execution import Commands
from gql_server.credentials import ServiceTokens, Sessions
from gql_server.db import compatibility, connect_arguments, read_engine, work_engine
from gql_server.errors import Stop
from gql_server.feed.hub import Hub
from gql_server.feed.tokens import Tokens
from gql_server.files import BUCKET, FileStore
from gql_server.graph.context import Context
from gql_server.graph.cost.budgets import Budgets
from gql_server.graph.schema import create_schema
from gql_server.handlers.api import ENTRY_SOURCES, entry_sources
from gql_server.handlers.results import MAX_REJECTED_SHARE
from gql_server.handlers.units import UNIT_SOURCES, default_unit_sources
from gql_server.http import console, graphiql
from gql_server.http.authentication import TokenAuthority
from gql_server.http.claims import check_rules
from gql_server.http.cookies import Cookies, SessionCookie, Site
from gql_server.http.documents import Documents, load
from gql_server.http.endpoint import GraphQLEndpoint
from gql_server.http.envelope import Application, BasePath, Compressed, Shortcut
from gql_server.http.graphiql import PageConfig, Pages
from gql_server.http.identity import Identity
from gql_server.http.ledger_metrics import LedgerMetrics
from gql_server.http.live import Limits
from gql_server.http.metrics import Gauges, Pools, live, metrics_app
from gql_server.http.oidc import Company, IdentityProvider, Keys
from gql_server.http.origins import CrossOrigin, Hosts, Origins
from gql_server.http.reference import ReferencePages
from gql_server.http.relying_party import Registration, RelyingParty
from gql_server.http.request_log import RequestLog
from gql_server.http.revocation import Revocations
from gql_server.http.sdl import SchemaDefinition
from gql_server.http.services import Services
from gql_server.http.sessions import BrowserSessions
from gql_server.http.sign_in import SignIn
from gql_server.http.sockets import SocketLimits
from gql_server.http.sources import Sources
from gql_server.http.tabs import names_in, operation_names, operations_by_name
from gql_server.http.uploads import Uploads
from gql_server.metrics import LABELS
from gql_server.policy import API_EXPLORE, Viewer
from gql_server.reads.lanes import Lanes
from gql_server.reads.pagination.cursors import CursorCodec
from gql_server.reads.pagination.paging import Paging
from gql_server.release import build_version
from gql_server.settings import Settings
from gql_server.worker import registry
from gql_server.worker.plugins import load_job_modules
from gql_server.worker.worker import Worker, WorkerConfig

READY_WITHIN_SECONDS = 2
SILENT_BEATS = 4
"""Heartbeats that a worker may miss before its probe fails."""

assert handlers.__all__  # importing it registers the job types


def create_app(
    settings: Settings, dsn: str, page: PageConfig, *, allowed_hosts: Sequence[str] = (), pages: Mapping[str, Path] = {}
) -> Starlette:
    """The API: GraphQL over HTTP and WebSocket, uploads, the GraphiQL page, and probes.

    `allowed_hosts`, beside those of the settings, guard a page that carries tokens against DNS rebinding. `pages` are folders
    of static files by their path, so that they are of this origin.
    """
    load_job_modules(settings.job_modules)
    engine = read_engine(dsn, pool_size=settings.database_pool_size, statement_timeout=settings.statement_timeout)
    write_engine = work_engine(dsn, concurrency=2)
    tokens = TokenAuthority.of(settings)
    secret = settings.signing_key().encode()
    paging, feed_tokens = Paging(CursorCodec(secret), settings.page_size_max), Tokens(secret)
    commands = Commands(write_engine, registry, entry_sources)
    budgets = Budgets(settings.cost_max, settings.cost_budget)
    lanes = Lanes(settings.reads_per_viewer())
    origins, schema = Origins((*settings.allowed_origins, *filter(None, [settings.public_origin]))), create_schema()
    schema.slow_seconds = settings.slow_operation.total_seconds()

    def explores(viewer: Viewer) -> bool:
        return settings.introspection == "everyone" or viewer.may(API_EXPLORE)

    keys = company_keys(settings)
    party = relying_party(settings, keys)
    sessions = party and BrowserSessions(
        Sessions(write_engine), party, directory=settings.oidc_directory, lifetime=settings.session_lifetime
    )
    services = Services(ServiceTokens(write_engine))
    revocations = Revocations(services.believed.disbelieve, *([sessions.believed.disbelieve] if sessions else []))
    hub = Hub(connect_arguments(dsn, "gql-server feed"), listeners=[revocations])
    site = Site(settings.public_origin, settings.base_path)
    cookies = Cookies(site)
    authenticate = Identity(tokens, keys and Company(keys), sessions, services).authenticate
    sign_in = SignIn(party, sessions, cookies, site, authenticate) if party and sessions else None
    page = replace(page, signs_in=sign_in is not None)
    graphql = GraphQLEndpoint(
        schema,
        authenticate=authenticate,
        create_context=lambda viewer: Context(
            viewer=viewer,
            engine=engine,
            hub=hub,
            paging=paging,
            tokens=feed_tokens,
            commands=commands,
            budgets=budgets,
            lanes=lanes,
            explores=explores(viewer),
        ),
        request_max_bytes=settings.request_max_bytes,
        limits=Limits(per_viewer=settings.live_operations_per_viewer_max, per_process=settings.live_operations_max),
        socket_limits=SocketLimits(
            per_process=settings.sockets_max,
            per_address=settings.sockets_per_address_max,
            per_viewer=settings.sockets_per_viewer_max,
        ),
        origins=origins,
        documents=trusted_documents(settings),
        revocations=revocations,
    )
    definition = SchemaDefinition(schema.as_str, authenticate, explores, is_public=settings.introspection == "everyone")
    reference = ReferencePages(schema.as_str, operations_by_name(), version("gql-server"), definition.check)
    uploads = Uploads(write_engine, registry, authenticate, settings.upload_max_bytes, files_bucket(settings), commands.lanes)
    sources = Sources(write_engine, authenticate, files_bucket(settings))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        following = asyncio.create_task(hub.run())
        try:
            with contextlib.suppress(TimeoutError):  # whoever subscribes before it follows would be told to begin anew
                async with asyncio.timeout(READY_WITHIN_SECONDS):
                    await hub.connected.wait()
            yield
        finally:
            stopping = [following, *commands.running.values()]
            for task in stopping:
                task.cancel()
            await asyncio.gather(*stopping, return_exceptions=True)
            if keys:
                await keys.close()
            await engine.dispose()
            await write_engine.dispose()

    async def ready(request: Request) -> Response:
        if graphql.live.is_draining:
            return JSONResponse({"ready": False, "reason": "the server is stopping"}, 503)
        return await readiness(engine)

    operations, hosts = Route("/graphql", Compressed(graphql)), (*allowed_hosts, *settings.allowed_hosts)
    app = Application(
        [
            *([Middleware(BasePath, settings.base_path)] if settings.base_path else []),
            Middleware(RequestLog),
            *([Middleware(Hosts, hosts)] if hosts else []),
            Middleware(CrossOrigin, origins),
        ],
        middleware=[
            *([Middleware(SessionCookie, cookies, site)] if sign_in else []),
            Middleware(Shortcut, [operations]),
        ],
        lifespan=lifespan,
        routes=[
            operations,
            WebSocketRoute("/graphql", graphql),
            Route("/uploads", uploads.post, methods=["POST"]),
            Route("/jobs/{job_id:int}/source", sources.get),
            Route("/schema.graphql", definition.get, middleware=[Middleware(Compressed)]),
            Route("/livez", live),
            Route("/readyz", ready),
            *reference.routes([Middleware(Compressed)]),
            *(sign_in.routes() if sign_in else ()),
            *console.routes(page),
            *graphiql.routes(page),
            *(Mount(path, Pages(directory=folder, html=True)) for path, folder in pages.items()),
        ],
    )
    app.state.drain = graphql.drain
    LABELS.know(operation_names())
    ledger = LedgerMetrics(engine, hub.health_arguments)
    pools = Pools({"read": engine, "write": write_engine})
    app.state.metrics = metrics_app([ledger, pools, _gauges(graphql, hub)], ready, ledger)
    return app


def _gauges(graphql: GraphQLEndpoint, hub: Hub) -> Gauges:
    return Gauges(
        {
            "gql_sockets_open": ("Open WebSockets.", lambda: graphql.sockets.count),
            "gql_live_operations": ("Subscriptions that clients follow.", lambda: graphql.live.subscribers),
            "gql_live_streams": ("Executions that they share.", lambda: len(graphql.live.streams)),
            "gql_feed_position": ("Number of the newest event that this process has read.", lambda: hub.sequence),
            "gql_feed_deaf": ("1 while notifications do not arrive, so that the feed is polled.", lambda: float(hub.is_deaf)),
        }
    )


def create_worker(settings: Settings, dsn: str) -> tuple[Worker, AsyncEngine]:
    """A worker and the engine it works with, which the caller disposes after it has stopped."""
    load_job_modules(settings.job_modules)
    engine = work_engine(dsn, concurrency=settings.worker_concurrency)
    config = WorkerConfig(
        name=settings.worker_name(),
        concurrency=settings.worker_concurrency,
        lease=settings.lease,
        sweep_interval=settings.sweep_interval,
        upload_retention=settings.upload_retention,
        git_sha=settings.git_sha or build_version(),
        version=version("gql-server"),
        resources={
            UNIT_SOURCES: default_unit_sources(),
            ENTRY_SOURCES: entry_sources,
            BUCKET: files_bucket(settings),
            MAX_REJECTED_SHARE: settings.max_rejected_share,
        },
    )
    return Worker(dsn, engine, registry, config), engine


def worker_gauges(worker: Worker) -> Gauges:
    """Gauges of what a worker does at the moment."""
    return Gauges(
        {
            "gql_jobs_running": ("Jobs that this worker works on.", lambda: worker.held),
            "gql_worker_concurrency": ("Jobs that it runs at a time.", lambda: worker.config.concurrency),
            "gql_worker_silent_seconds": ("Time since its heartbeat reached the database.", lambda: worker.silent_seconds),
        }
    )


def worker_metrics(worker: Worker, engine: AsyncEngine) -> Starlette:
    """The port for machines that watch a worker: ready while its heartbeats reach the database."""
    patience = SILENT_BEATS * worker.config.pod_interval.total_seconds()

    async def ready(request: Request) -> Response:
        silent = worker.silent_seconds
        if silent is None or silent > patience:
            since = "yet" if silent is None else f"for {silent:.0f} s"
            return JSONResponse({"ready": False, "reason": f"the worker has not reached the database {since}"}, 503)
        return JSONResponse({"ready": True})

    return metrics_app([Pools({"work": engine}), worker_gauges(worker)], ready)


def trusted_documents(settings: Settings) -> Documents:
    """Documents that clients ask for by id, and those of the console once it is built. Raises Stop for what is no manifest."""
    try:
        trusted = load([*settings.trusted_documents, *([console.MANIFEST] if console.MANIFEST.is_file() else [])])
        LABELS.know(names_in(trusted.values()))
        return Documents(trusted, only_trusted=settings.trusted_documents_only)
    except ValueError as error:
        raise Stop(f"GQL_TRUSTED_DOCUMENTS: {error}") from None


def company_keys(settings: Settings) -> Keys | None:
    """Keys of the identity provider, when the settings name one. Raises Stop for roles that there are not."""
    if not settings.oidc_issuer:
        return None
    try:
        check_rules(settings.oidc_roles)
    except ValueError as error:
        raise Stop(f"GQL_OIDC_ROLES: {error}") from None
    return Keys(
        IdentityProvider(
            issuer=settings.oidc_issuer,
            audience=settings.oidc_audience or settings.jwt_audience,
            rules=settings.oidc_roles,
            directory=settings.oidc_directory,
            keys_url=settings.oidc_keys_url,
        )
    )


def relying_party(settings: Settings, keys: Keys | None) -> RelyingParty | None:
    """The client of the identity provider by which people sign in, when the settings name one. Raises Stop."""
    if not settings.oidc_client_id:
        return None
    if keys is None:
        raise Stop("GQL_OIDC_CLIENT_ID is of no use without GQL_OIDC_ISSUER")
    secret = settings.oidc_client_secret
    return RelyingParty(
        keys,
        Registration(
            client_id=settings.oidc_client_id,
            client_secret=None if secret is None else secret.get_secret_value(),
            scopes=settings.oidc_scopes,
            parameters=settings.oidc_parameters,
        ),
    )


def files_bucket(settings: Settings) -> FileStore | None:
    """Store of uploaded files, when the settings name a bucket; None for the database. Raises Stop without a client for it."""
    if settings.files_bucket_url is None:
        return None
    try:
        from gql_server.files.bucket import open_bucket
    except ImportError:
        raise Stop("GQL_FILES_BUCKET_URL needs what `pip install 'gql-server[bucket]'` brings") from None
    secret = settings.files_secret_access_key
    return open_bucket(
        settings.files_bucket_url,
        endpoint=settings.files_endpoint,
        region=settings.files_region,
        access_key_id=settings.files_access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
    )


async def readiness(engine: AsyncEngine) -> Response:
    """Requests can be answered: the database is there, and this version works with its schema."""
    try:
        async with asyncio.timeout(READY_WITHIN_SECONDS), engine.connect() as connection:
            schema = await connection.run_sync(compatibility.read)
    except (SQLAlchemyError, OSError, TimeoutError):
        return JSONResponse({"ready": False, "reason": "the database cannot be reached"}, 503)
    if not schema.is_usable:
        detail, advice = schema.explained()
        return JSONResponse({"ready": False, "reason": f"{detail}; {advice}"}, 503)
    return JSONResponse({"ready": True})
