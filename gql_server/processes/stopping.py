"""The end of a process: a signal, or a task that ends."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextlib.asynccontextmanager
async def stopped_by_signal() -> AsyncGenerator[asyncio.Event]:
    """An event that SIGINT, SIGTERM or the end of the terminal sets; the last unless it is ignored, as under nohup."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        if number.name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN:
            continue
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    yield stop


async def until(stop: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Wait for the signal, or for a task to end; a task that failed raises here."""
    stopping = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for task in done - {stopping}:
        task.result()
