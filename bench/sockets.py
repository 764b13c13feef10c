"""`python -m bench.sockets`: many clients of graphql-transport-ws in a process of their own, which notes when frames arrive.

It reads what to follow as a line of JSON, prints a line once every socket has its first frame, and answers every line that
follows with the arrivals since. Times are those of the machine's monotonic clock, which all processes share.
"""

import asyncio
import re
import resource
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

PROTOCOL = Subprotocol("graphql-transport-ws")
OPENED_WITHIN_SECONDS = 120
AT_ONCE = 50
LINE_MAX = 64 * 1024 * 1024
TAG = re.compile(r"#(\d+)")

QUERY = """subscription ($id: UUID!, $throttle: Int) {
  pipeline(by: { pipelineId: $id }, throttleMs: $throttle) {
    token
    ... on PipelineChanged { pipeline { id status message jobs { nodes { id state message } } } }
  }
}"""

Arrivals = dict[int, list[float]]
"""Times at which frames arrived, by the number of the change that they show."""


class Sockets:
    """A process full of clients."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def arrivals(self) -> Arrivals:
        """Arrivals since the last call."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(b"\n")
        return {int(tag): times for tag, times in orjson.loads(await self._process.stdout.readline()).items()}

    async def reached(self, tag: int, count: int, within: float) -> list[float]:
        """Times at which frames of that change arrived, once there are so many. Raises TimeoutError."""
        times: list[float] = []
        async with asyncio.timeout(within):
            while True:
                times += (await self.arrivals()).get(tag, [])
                if len(times) >= count:
                    return times
                await asyncio.sleep(0.05)


def sockets(
    url: str, tokens: Sequence[str], followed: Sequence[Any], *, throttle_ms: int = 0
) -> AbstractAsyncContextManager[Sockets]:
    """One socket for each pipeline id, all with their first frame; the tokens are taken in turn."""
    return subscribed(url, tokens, QUERY, [{"id": str(key), "throttle": throttle_ms} for key in followed])


@asynccontextmanager
async def subscribed(
    url: str, tokens: Sequence[str], query: str, variables: Sequence[Mapping[str, Any]], *, is_told_at_once: bool = True
) -> AsyncGenerator[Sockets]:
    """One socket for each variables of the query, with its first frame if there is one to be told at once."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.sockets", stdin=pipe, stdout=pipe, limit=LINE_MAX
    )
    assert process.stdin
    assert process.stdout
    try:
        asked = {"url": url, "tokens": tokens, "query": query, "variables": variables, "first": is_told_at_once}
        process.stdin.write(orjson.dumps(asked) + b"\n")
        async with asyncio.timeout(OPENED_WITHIN_SECONDS):
            if await process.stdout.readline() != b"ready\n":
                raise RuntimeError("the clients could not connect")
        yield Sockets(process)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def allow_files(count: int) -> None:
    """Let this process and its children open so many files. Raises SystemExit when the machine does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= count:
        return
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SystemExit(f"this benchmark opens {count} files; raise the limit, now {hard}: ulimit -n {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


async def main() -> None:
    reader = asyncio.StreamReader(limit=LINE_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    asked = orjson.loads(await reader.readline())
    arrivals: defaultdict[str, list[float]] = defaultdict(list)
    turns = asyncio.Semaphore(AT_ONCE)
    tokens = asked["tokens"]
    async with AsyncExitStack() as stack:

        async def follow(number: int, variables: Mapping[str, Any]) -> asyncio.Task[None]:
            async with turns:
                headers = {"Authorization": f"Bearer {tokens[number % len(tokens)]}"}
                opening = connect(asked["url"], subprotocols=[PROTOCOL], additional_headers=headers, open_timeout=60)
                connection = await stack.enter_async_context(opening)
                await _subscribe(connection, {"query": asked["query"], "variables": variables})
                if asked["first"]:
                    await _told(connection)
                return asyncio.create_task(_note(connection, arrivals))

        noting = await asyncio.gather(*[follow(number, key) for number, key in enumerate(asked["variables"])])
        _print(b"ready")
        while await reader.readline():
            _print(orjson.dumps(arrivals))
            arrivals.clear()
        for task in noting:
            task.cancel()
        sys.stdout.flush()
        # the server lets go of a lost connection by itself; 2,000 farewells would only take time
        stack.pop_all()


async def _subscribe(connection: ClientConnection, payload: Mapping[str, Any]) -> None:
    await connection.send('{"type":"connection_init"}')
    await connection.recv()
    await connection.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": payload}).decode())


async def _told(connection: ClientConnection) -> None:
    """Until the first frame."""
    first = await connection.recv(decode=False)
    if b'"error' in first:
        raise RuntimeError(first.decode())


async def _note(connection: ClientConnection, arrivals: defaultdict[str, list[float]]) -> None:
    async for frame in connection:
        now = monotonic()
        if shown := TAG.search(str(frame)):
            arrivals[shown.group(1)].append(now)


def _print(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    asyncio.run(main())
