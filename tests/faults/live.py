"""Clients of the live graph that write down what they were told, lose their connections and come again."""

import asyncio
import json
import random
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from gql_server.db.embedded.cluster import free_port
from gql_server.db.models import Provider
from gql_server.feed.tokens import Tokens
from gql_server.http.authentication import TokenAuthority
from tests.faults.processes import Process
from tests.faults.site import OPERATOR, SECRET, Site, answers

TOKENS = Tokens(SECRET.encode())

AWAY = (OSError, WebSocketException, httpx.HTTPError, TimeoutError)
STATE = "id status jobCount jobs(first: 50) { nodes { jobId state result } }"
ONE = f"""subscription ($id: UUID!, $after: FeedToken) {{ pipeline(by: {{ pipelineId: $id }}, after: $after, throttleMs: 50) {{
  __typename token ... on PipelineChanged {{ pipeline {{ {STATE} }} }} }} }}"""
LIST = f"""subscription ($filter: PipelineFilter, $after: FeedToken, $throttle: Int = 200) {{
  pipelines(filter: $filter, after: $after, first: 200, throttleMs: $throttle) {{
    __typename token
    ... on FeedSnapshot {{ pipelines {{ nodes {{ {STATE} }} }} }}
    ... on PipelineEntered {{ position pipeline {{ {STATE} }} }}
    ... on PipelineChanged {{ pipeline {{ {STATE} }} }}
    ... on PipelineLeft {{ pipelineNodeId leaveReason }} }} }}"""


def bearer(role: str = "operator", **claims: Any) -> str:
    return f"Bearer {TokenAuthority(SECRET, 'gql-server', 'gql-server').mint(role, provider=Provider.ACCRED, **claims)}"


class Api:
    """An API process that can be killed and comes again at the same address."""

    def __init__(self, site: Site, port: int | None = None, **environment: str) -> None:
        self._site, self._database_port, self._environment = site, port, environment
        self._starts = 0
        self.port = free_port()
        self.process: Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    async def start(self, launcher: Sequence[str] = ()) -> "Api":
        """Returns when it is ready."""
        self._starts += 1
        name = f"api-{self._starts}"
        command = ("serve", "--port", str(self.port))
        self.process = self._site.start(name, *command, port=self._database_port, launcher=launcher, **self._environment)
        async with httpx.AsyncClient(base_url=self.url.removesuffix("/graphql")) as client, asyncio.timeout(60):
            while not await answers(client):
                assert self.process.popen.poll() is None, self.process.said
                await asyncio.sleep(0.05)
        return self

    async def ask(self, query: str, **variables: Any) -> Any:
        """The data of a query."""
        async with httpx.AsyncClient(timeout=20) as client:
            answer = await client.post(
                self.url, json={"query": query, "variables": variables}, headers={"Authorization": bearer()}
            )
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]

    @asynccontextmanager
    async def socket(self, authorization: str | None = None, **options: Any) -> AsyncGenerator[ClientConnection, None]:
        """An acknowledged graphql-transport-ws connection, aborted in the end."""
        address = self.url.replace("http", "ws", 1)
        connection = await connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], open_timeout=30, **options)
        try:
            payload = {"authorization": authorization or bearer()}
            await connection.send(json.dumps({"type": "connection_init", "payload": payload}))
            assert json.loads(await connection.recv()) == {"type": "connection_ack"}
            yield connection
        finally:
            connection.transport.abort()

    @asynccontextmanager
    async def events(
        self, query: str, last: str | None, **variables: Any
    ) -> AsyncGenerator[AsyncIterator[dict[str, str]], None]:
        """An event stream of graphql-sse, dropped in the end."""
        headers = {"Authorization": bearer(), "Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        body = {"query": query, "variables": variables}
        async with (
            httpx.AsyncClient(timeout=30) as client,
            client.stream("POST", self.url, json=body, headers=headers) as response,
        ):
            response.raise_for_status()
            yield parsed(response.aiter_lines())


async def subscribe(connection: ClientConnection, query: str, **variables: Any) -> None:
    payload = {"query": query, "variables": variables}
    await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))


async def parsed(lines: AsyncIterator[str]) -> AsyncGenerator[dict[str, str], None]:
    """The events of a stream, each a dictionary of its fields."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        elif fields:
            yield fields
            fields = {}


@dataclass
class Watcher:
    """Follows one subscription over one transport, and holds what it was last told of each pipeline.

    It comes again with the last token over a socket, and over an event stream with the last id; unless it `stays`, often.
    """

    api: Api
    transport: str
    query: str
    variables: dict[str, Any]
    chance: random.Random
    stays: bool = False
    held: dict[str, Any] = field(default_factory=dict)
    entered: set[str] = field(default_factory=set)
    frames: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    mistaken: list[tuple[str, str]] = field(default_factory=list)
    token: str | None = None
    last_id: str | None = None
    resets: int = 0
    reconnects: int = -1
    is_complete: bool = False
    errors: list[Any] = field(default_factory=list)

    @property
    def duplicates(self) -> int:
        """Messages that had been told before."""
        return sum(count - 1 for count in self.frames.values())

    async def run(self) -> None:
        """Follow until the subscription completes, losing the connection now and then."""
        while not self.is_complete:
            with suppress(*AWAY):
                async with asyncio.timeout(None if self.stays else self.chance.uniform(0.3, 3)):
                    await (self._over_socket() if self.transport == "ws" else self._over_sse())
            await asyncio.sleep(self.chance.uniform(0, 0.3))

    async def _over_socket(self) -> None:
        async with self.api.socket() as connection:
            self.reconnects += 1
            await subscribe(connection, self.query, **self.variables, after=self.token)
            async for text in connection:
                message = json.loads(text)
                if message["type"] == "complete":
                    self.is_complete = True
                    return
                if message["type"] == "next":
                    self.take(message["payload"])

    async def _over_sse(self) -> None:
        async with self.api.events(self.query, self.last_id, **self.variables) as events:
            self.reconnects += 1
            async for event in events:
                if event["event"] == "complete":
                    self.is_complete = True
                    return
                self.last_id = event.get("id", self.last_id)
                self.take(json.loads(event["data"]))

    def take(self, payload: Any) -> None:
        """Apply a message as the README tells a client to."""
        if payload.get("errors"):
            self.errors.append(payload["errors"])
            return
        (event,) = payload["data"].values()
        self.token = event["token"]
        match event["__typename"]:
            case "FeedSnapshot":
                self.held = {node["id"]: node for node in event["pipelines"]["nodes"]}
                self.entered |= self.held.keys()
            case "PipelineEntered" | "PipelineChanged":
                self._compare(event, event["pipeline"]["id"])
                self.held[event["pipeline"]["id"]] = event["pipeline"]
                self.entered.add(event["pipeline"]["id"])
                self._note(event, event["pipeline"]["id"])
            case "PipelineLeft":
                self._compare(event, event["pipelineNodeId"])
                self.held.pop(event["pipelineNodeId"], None)
                self._note(event, event["pipelineNodeId"])
            case "FeedReset":
                self.resets += 1
                self.held = {}
            case _:
                pass

    def _note(self, event: Any, id: str) -> None:
        self.frames[(event["__typename"], TOKENS.open(event["token"], OPERATOR).position, id)] += 1

    def _compare(self, event: Any, id: str) -> None:
        """An event of a list is relative to what the client holds."""
        if self.query == LIST and (id in self.held) == (event["__typename"] == "PipelineEntered"):
            self.mistaken.append((event["__typename"], id))
        if event.get("position") == "HEAD" and any(_key(id) < _key(other) for other in self.held):
            self.mistaken.append(("HEAD", id))


def _key(id: str) -> str:
    return b64decode(id).decode()
