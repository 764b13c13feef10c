"""Lines of a log: JSON all of them where that is chosen; exceptions keep values to themselves."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import structlog
from gql_server import logs

def open_safe():
    combination = " ".join(["four", "eight", "fifteen"])
    raise RuntimeError("the safe is stuck")

logs.configure("INFO", json={json})
try:
    open_safe()
except RuntimeError:
    structlog.get_logger().exception("safe.failed", safe=7)
"""


EVERYTHING = """
import asyncio, logging, sys, threading, warnings
import structlog
from gql_server import logs

logs.configure("INFO", json=True)
structlog.get_logger().info("job.finished", job_id=7, unknown=object)
logging.getLogger("uvicorn.error").error("Exception in %s application\\nof two lines", "ASGI")
logging.getLogger("alembic.runtime.migration").warning("odd")
warnings.warn("old", DeprecationWarning)
logs.announce("serving on x", "server.started", address="x")
logs.failed("the database cannot be reached")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()

async def forgotten():
    raise ValueError("nobody asked")

async def main():
    task = asyncio.create_task(forgotten())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task

asyncio.run(main())
raise RuntimeError("the end")
"""


def test_every_line_that_a_process_writes_is_json_whoever_writes_it() -> None:
    ended = subprocess.run([sys.executable, "-W", "default", "-c", EVERYTHING], capture_output=True, text=True, check=False)

    lines = [json.loads(line) for line in ended.stderr.splitlines()]

    assert ended.returncode == 1
    assert {"event", "level", "timestamp"} <= set.intersection(*map(set, lines))
    assert [(line["level"], line["event"].partition("\n")[0]) for line in lines if line.get("logger") != "py.warnings"] == [
        ("info", "job.finished"),
        ("error", "Exception in ASGI application"),
        ("warning", "odd"),
        ("info", "server.started"),
        ("error", "command.failed"),
        ("critical", "thread.crashed"),
        ("error", "Task exception was never retrieved"),
        ("critical", "process.crashed"),
    ]
    assert ["DeprecationWarning: old" in line["event"] for line in lines if line.get("logger") == "py.warnings"] == [True]
    assert [line["exception"][0]["exc_value"] for line in lines if "exception" in line] == [
        "division by zero",
        "nobody asked",
        "the end",
    ]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_where_and_why_but_no_values(as_json: bool) -> None:
    program = PROGRAM.format(json=as_json)

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr

    for expected in ("safe.failed", "RuntimeError", "the safe is stuck", "open_safe"):
        assert expected in said
    assert "four eight fifteen" not in said
