"""A pipeline that clients follow over a real socket and a real event stream, and what they are shown until they are let go."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin, Subprotocol

from gql_server.db.models import JobState
from tests import build

PROTOCOL = Subprotocol("graphql-transport-ws")
FOLLOW = """subscription ($id: UUID!) {
  pipeline(by: { pipelineId: $id }, throttleMs: 0) { __typename ... on PipelineChanged { pipeline { status } } }
}"""
STREAM = {"Accept": "text/event-stream", "GraphQL-Require-Preflight": "1", "Sec-Fetch-Site": "same-origin"}
WITHIN_SECONDS = 60


class Followed:
    """A running pipeline."""

    def __init__(self, engine: AsyncEngine, id: UUID, job_id: int) -> None:
        self._engine, self.id, self._job_id = engine, id, job_id

    @classmethod
    async def started(cls, engine: AsyncEngine, provider: str = "ACCRED") -> "Followed":
        async with engine.begin() as connection:
            id = await build.pipeline(connection, provider=provider)
            job_id = await build.job(connection, id, provider=provider, state=JobState.RUNNING)
            await build.settle(connection, id)
        return cls(engine, id, job_id)

    async def end(self) -> None:
        """End it, and tell those who listen."""
        async with self._engine.begin() as connection:
            await build.finish(connection, self._job_id)
            await build.settle(connection, self.id)
            await build.notify(connection)

    @property
    def asked(self) -> dict[str, Any]:
        return {"query": FOLLOW, "variables": {"id": str(self.id)}}


def statuses(answers: list[Any]) -> list[str]:
    """The statuses that were shown. A heartbeat, which comes when nothing happened for a while, shows none."""
    events = [answer["data"]["pipeline"] for answer in answers if answer.get("data")]
    return [event["pipeline"]["status"] for event in events if event["__typename"] != "FeedHeartbeat"]


class Socket:
    """A client that follows the pipeline over a socket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def end(self) -> tuple[list[str], int | None]:
        """The statuses that are shown from now on until the socket closes, and its code; None for an end of the operation."""
        answers: list[Any] = []
        async with asyncio.timeout(WITHIN_SECONDS):
            with suppress(ConnectionClosed):
                while (message := json.loads(await self._connection.recv()))["type"] == "next":
                    answers.append(message["payload"])
        return statuses(answers), self._connection.close_code


class Stream:
    """A client that follows the pipeline as an event stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def event(self) -> tuple[str, Any]:
        """Name and data of the next event; empty at the end of the stream."""
        name = data = ""
        async for line in self._lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data:"):
                data = line.removeprefix("data:").strip()
            elif not line and name:
                return name, json.loads(data) if data else None
        return "", None

    async def end(self) -> tuple[list[str], list[str], bool]:
        """The statuses that are shown from now on, the codes of errors, and whether the stream says that it is complete."""
        answers: list[Any] = []
        async with asyncio.timeout(WITHIN_SECONDS):
            while (event := await self.event())[0] == "next":
                answers.append(event[1])
        errors = [error["extensions"]["code"] for answer in answers for error in answer.get("errors", ())]
        return statuses(answers), errors, event[0] == "complete"


@asynccontextmanager
async def on_socket(url: str, followed: Followed, **headers: str) -> AsyncGenerator[Socket]:
    """A client whose socket has shown the pipeline, at the server with this origin."""
    address = f"{url.replace('http', 'ws')}/graphql"
    async with connect(address, subprotocols=[PROTOCOL], origin=Origin(url), additional_headers=headers) as connection:
        await connection.send('{"type": "connection_init"}')
        assert json.loads(await connection.recv())["type"] == "connection_ack"
        await connection.send(json.dumps({"id": "1", "type": "subscribe", "payload": followed.asked}))
        async with asyncio.timeout(WITHIN_SECONDS):
            first = json.loads(await connection.recv())
        assert statuses([first["payload"]]) == ["RUNNING"], first
        yield Socket(connection)


@asynccontextmanager
async def on_stream(url: str, followed: Followed, **headers: str) -> AsyncGenerator[Stream]:
    """A client whose event stream has shown the pipeline."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=WITHIN_SECONDS) as client,
        client.stream("POST", "/graphql", json=followed.asked, headers={**STREAM, **headers}) as response,
    ):
        stream = Stream(response)
        name, first = await stream.event()
        assert (name, statuses([first])) == ("next", ["RUNNING"]), first
        yield stream
