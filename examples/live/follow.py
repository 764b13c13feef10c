"""Keeps a list of pipelines live, through restarts of the server, and proves in the end that nothing was missed.

    pip install 'gql[aiohttp,websockets]'
    GQL_TOKEN=$(gql-server token --role operator) python follow.py

Ctrl-C ends it. The exit code is 0 if the list it kept is the one that the server shows, else 1.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from typing import Any

from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportClosed, TransportConnectionFailed
from gql.transport.websockets import WebsocketsTransport

SHOWN = "fragment Shown on Pipeline { id pipelineId kind status message progress { finishedJobs expectedJobs } }"
PAGE = f"""query Page($first: Int!) {{
  pipelines(first: $first, filter: {{ isOrphan: false }}) {{ nodes {{ ...Shown }} pageInfo {{ hasNextPage }} feedToken }}
}} {SHOWN}"""
EVENT = """__typename token
    ... on PipelineEntered { pipeline { ...Shown } }
    ... on PipelineChanged { pipeline { ...Shown } }
    ... on PipelineLeft { pipelineNodeId }
    ... on FeedSnapshot { pipelines { nodes { ...Shown } pageInfo { hasNextPage } } }"""
FOLLOW = f"""subscription Follow($after: FeedToken!, $first: Int!) {{
  pipelines(after: $after, first: $first, filter: {{ isOrphan: false }}, snapshot: false) {{
    {EVENT}
  }}
}} {SHOWN}"""
MISSED = f"""query Missed($after: FeedToken!) {{
  changes(after: $after, filter: {{ isOrphan: false }}) {{
    events {{ {EVENT} }} nextToken hasMore
  }}
}} {SHOWN}"""
FIRST, KEPT = 25, 100
LOST = (TransportConnectionFailed, TransportClosed, OSError, TimeoutError)


class LiveList:
    """The newest pipelines, and the token up to which they are known."""

    def __init__(self, page: dict[str, Any]) -> None:
        self.show(page)
        self.token: str = page["feedToken"]

    def show(self, page: dict[str, Any]) -> None:
        """Forget everything; begin with this page. What is older than its last pipeline is on other pages."""
        self.rows = {row["id"]: row for row in page["nodes"]}
        self.oldest = page["nodes"][-1]["pipelineId"] if page["pageInfo"]["hasNextPage"] else ""

    def apply(self, event: dict[str, Any]) -> None:
        match event["__typename"]:
            case "PipelineEntered" | "PipelineChanged":
                self._keep(event["pipeline"])
            case "PipelineLeft":
                self.rows.pop(event["pipelineNodeId"], None)
            case "FeedSnapshot":
                self.show(event["pipelines"])
            case "FeedReset":
                return  # a snapshot follows; should it not arrive, the old token asks for it again
            case _:
                pass  # a heartbeat
        self.token = event["token"]

    def _keep(self, row: dict[str, Any]) -> None:
        if row["pipelineId"] >= self.oldest:
            self.rows[row["id"]] = row
        if len(self.rows) > KEPT:
            gone, last = sorted(self.rows.values(), key=lambda row: row["pipelineId"])[:2]
            del self.rows[gone["id"]]
            self.oldest = last["pipelineId"]

    def is_like(self, page: dict[str, Any]) -> bool:
        """True if the page, which may reach further back, shows the same pipelines in the same state."""
        return self.rows == {row["id"]: row for row in page["nodes"] if row["pipelineId"] >= self.oldest}


class Server:
    """The server, as the bearer of a token sees it."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._authorization = url, f"Bearer {token}"

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """One answer over HTTP."""
        transport = AIOHTTPTransport(self._url, headers={"Authorization": self._authorization})
        async with Client(transport=transport) as session:
            return await session.execute(GraphQLRequest(query, variable_values=variables))

    async def follow(self, pipelines: LiveList) -> None:
        """Apply what happens until cancelled, through any loss of the connection."""
        task = asyncio.current_task()
        while not (task and task.cancelling()):  # whose cancellation the loss of a connection may hide
            with contextlib.suppress(*LOST):
                await self._follow_once(pipelines)
            say("connection lost: coming again")
            await asyncio.sleep(1)

    async def _follow_once(self, pipelines: LiveList) -> None:
        transport = WebsocketsTransport(self._url.replace("http", "ws", 1), init_payload={"authorization": self._authorization})
        async with Client(transport=transport) as session:
            say("live")
            after = {"after": pipelines.token, "first": FIRST}
            async for message in session.subscribe(GraphQLRequest(FOLLOW, variable_values=after)):
                pipelines.apply(message["pipelines"])
                tell(message["pipelines"])

    async def has_missed_nothing(self, pipelines: LiveList) -> bool:
        """Compare the list with a new reading of it, before and after which nothing happened."""
        while True:
            await self.catch_up(pipelines)
            page = (await self.ask(PAGE, first=len(pipelines.rows) + 1))["pipelines"]
            if not await self.catch_up(pipelines):
                return pipelines.is_like(page)

    async def catch_up(self, pipelines: LiveList) -> int:
        """Apply what has happened since; how much that was."""
        missed = (await self.ask(MISSED, after=pipelines.token))["changes"]
        for event in missed["events"]:
            pipelines.apply(event)
        pipelines.token = missed["nextToken"]
        return len(missed["events"])


def tell(event: dict[str, Any]) -> None:
    row = event.get("pipeline")
    say(f"{event['__typename']} {row['pipelineId']} {row['kind']} {row['status']}" if row else event["__typename"])


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--url", default="http://127.0.0.1:8000/graphql")
    server = Server(arguments.parse_args().url, os.environ["GQL_TOKEN"])
    pipelines = LiveList((await server.ask(PAGE, first=FIRST))["pipelines"])
    following = asyncio.create_task(server.follow(pipelines))
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, following.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await following
    missed_nothing = await server.has_missed_nothing(pipelines)
    say(f"nothing was missed: {len(pipelines.rows)} pipelines" if missed_nothing else "SOMETHING WAS MISSED")
    return 0 if missed_nothing else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
