"""Files that no program should have written, a full disk, and fifty people who upload the same."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gql_server.db.models import TargetType
from tests.faults.files import PROCESS, PROCESS_HEADER, example, process_file, total, upload
from tests.faults.site import Site

MEBIBYTE = 1024 * 1024
PARAMETERS = {"module": PROCESS, "year": "2025"}
POISON = {
    "NUL": (PROCESS_HEADER + b"10208,CO2,\0,1,\n", "line 2 contains NUL bytes: the file is not UTF-8 text"),
    "half UTF-16": (b"u\0n\0it,", "the file contains NUL bytes and is not UTF-16 text: save it as “CSV UTF-8”"),
    "one endless line": (b"x" * 20 * MEBIBYTE, "the row at line 1 is longer than 65536 characters: is a quote left open?"),
    "ten thousand columns": (b",".join(b"c%d" % n for n in range(10_000)), "the file has 10000 columns, at most 100 are read"),
    "an unclosed quote": (PROCESS_HEADER + b'10208,CO2,"Glace,1,\n', "a quote opened in the row at line 2 is never closed"),
}


@pytest.fixture
async def factors(site: Site, year: int) -> int:
    """The year, with factors for process emissions."""
    await upload(site, year, PROCESS, example("factors/process_emissions.csv"), target=TargetType.FACTORS)
    site.start("factors", "worker", "--drain")
    await site.all_finished()
    return year


async def post(api: httpx.AsyncClient, content: bytes) -> int:
    """Upload through the API; returns the job that was accepted."""
    response = await api.post("/uploads", params=PARAMETERS, content=content)
    assert response.status_code == 202, response.text
    return response.json()["jobId"]


async def test_poisonous_files_end_with_one_sentence_each(site: Site, factors: int) -> None:
    worker = await site.worker("w1")
    async with site.serve() as api:
        good = await post(api, process_file(100))
        accepted = [await post(api, content) for content, _ in POISON.values()]
        seconds = await site.all_finished()

    rows = [await site.job(job_id) for job_id in accepted]
    assert [(row.result, row.status_message) for row in rows] == [("ERROR", reason) for _, reason in POISON.values()]
    assert await total(site, PROCESS) == 150
    assert "Traceback" not in worker.said
    await site.survived(f"{len(POISON)} poisonous files", seconds, [good, *accepted])


async def test_d7_a_file_of_bad_rows_leaves_what_was_there(site: Site, factors: int) -> None:
    await site.worker("w1")
    good = await upload(site, factors, PROCESS, process_file(100))
    await site.all_finished()

    bad = await upload(site, factors, PROCESS, example("failures/process_emissions_all_bad.csv"))
    seconds = await site.all_finished()

    assert (await site.job(bad.job_id)).result == "ERROR"
    assert (await site.value("SELECT count(*) FROM data_entries"), await total(site, PROCESS)) == (1, 150)
    assert await site.value("SELECT count(*) FROM row_errors WHERE job_id = :id", id=bad.job_id) == 8
    await site.survived("every row of a file is bad", seconds, [good.job_id, bad.job_id])


async def test_a_full_disk_refuses_uploads_until_there_is_room(site: Site, factors: int, small_disk: "SmallDisk") -> None:
    await site.worker("w1")
    async with site.serve(launcher=small_disk.launcher, **small_disk.environment) as api:
        refused = await api.post("/uploads", params=PARAMETERS, content=process_file(1) + b"\n" * 3 * MEBIBYTE)
        accepted = await post(api, process_file(100))
        seconds = await site.all_finished()

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert await site.value("SELECT count(*) FROM uploads WHERE size_bytes > 1000000") == 0
    assert await total(site, PROCESS) == 150
    await site.survived(f"disk full on upload ({small_disk.kind})", seconds, [accepted])


async def test_fifty_identical_uploads_at_once_count_once(site: Site, factors: int) -> None:
    await asyncio.gather(site.worker("w1"), site.worker("w2"))
    async with site.serve() as api:
        accepted = await asyncio.gather(*(post(api, process_file(100, 50)) for _ in range(50)))
        seconds = await site.all_finished(120)

    pipelines = await site.query("SELECT DISTINCT status FROM pipelines")
    assert [row.status for row in pipelines] == ["SUCCESS"]
    assert (await site.value("SELECT count(*) FROM data_entries"), await total(site, PROCESS)) == (2, 225)
    recalculations = await site.value("SELECT count(*) FROM data_ingestion_jobs WHERE job_type = 'emission_recalc'")
    await site.survived(f"fifty identical uploads at once ({recalculations - 1} recalculations)", seconds, accepted)


class SmallDisk:
    """A disk of two mebibytes for temporary files: a file system if we may mount one, else a limit on every file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
        )
        self.is_mounted = mounted.returncode == 0
        self.kind = "tmpfs of 2 MiB" if self.is_mounted else "files of at most 2 MiB"
        self.environment: dict[str, Any] = {"TMPDIR": str(folder)}
        self.launcher = () if self.is_mounted else ("sh", "-c", 'ulimit -f 4096; exec "$@"', "sh")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "small"
    folder.mkdir()
    disk = SmallDisk(folder)
    yield disk
    if disk.is_mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
