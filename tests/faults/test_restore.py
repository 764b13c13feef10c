"""A database that is taken back to an earlier point, under clients that have seen what came after."""

import asyncio
import random
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gql_server.db.embedded.programs import VERSION, binaries
from tests.faults.live import LIST, Api, Watcher
from tests.faults.site import Site
from tests.faults.test_hiccups import agree

Restore = Callable[[], Awaitable[None]]


async def dumped(site: Site, folder: Path) -> Restore:
    """pg_dump now, pg_restore --clean later, while the server looks on."""
    file = str(folder / "dump")
    database = ("--dbname", site.cluster.dsn(site.database))
    await program("pg_dump", "--format=custom", "--file", file, *database)

    async def restore() -> None:
        await program("pg_restore", "--clean", "--no-owner", "--exit-on-error", *database, file)
        await site.engine.dispose()

    return restore


async def copied(site: Site, folder: Path) -> Restore:
    """The data directory as it is now, put in the place of a later one."""
    backup, cluster = folder / "backup", site.cluster

    async def copy(source: Path, target: Path) -> None:
        await asyncio.to_thread(cluster.stop)
        await asyncio.to_thread(shutil.rmtree, target, ignore_errors=True)
        await asyncio.to_thread(subprocess.run, ["cp", "-a", str(source), str(target)], check=True)
        await asyncio.to_thread(cluster.start)

    await copy(cluster.path, backup)
    return lambda: copy(backup, cluster.path)


async def program(name: str, *arguments: str) -> None:
    await asyncio.to_thread(subprocess.run, [str(binaries(VERSION) / name), *arguments], check=True)


async def run_jobs(site: Site, count: int) -> list[int]:
    worker = await site.worker(f"w{random.getrandbits(32)}")
    accepted = [(await site.submit()).job_id for _ in range(count)]
    await site.all_finished()
    worker.kill()
    return accepted


@pytest.mark.parametrize("saved", [dumped, copied])
async def test_who_has_seen_what_a_restored_database_has_not_begins_anew(
    site: Site, tmp_path: Path, saved: Callable[[Site, Path], Awaitable[Restore]]
) -> None:
    api = await Api(site).start()
    await run_jobs(site, 4)
    clients = {
        f"{name} over {transport}": Watcher(api, transport, LIST, {}, random.Random(1), stays=True)
        for name in ("stays", "was away")
        for transport in ("ws", "sse")
    }
    restore = await saved(site, tmp_path)
    following = {name: asyncio.create_task(client.run()) for name, client in clients.items()}
    try:
        await run_jobs(site, 3)
        await agree(site, clients)
        for name in [name for name in following if name.startswith("was away")]:
            following[name].cancel()
        await restore()
        accepted = await run_jobs(site, 6)
        for name in [name for name in following if name.startswith("was away")]:
            following[name] = asyncio.create_task(clients[name].run())
        seconds = await agree(site, clients)
    finally:
        for task in following.values():
            task.cancel()
        await asyncio.gather(*following.values(), return_exceptions=True)

    assert [name for name, client in clients.items() if not client.resets] == []
    assert {name: client.errors for name, client in clients.items()} == {name: [] for name in clients}
    await site.survived(f"database taken back ({saved.__name__})", seconds, accepted)
