"""Exceptions in the log, and what they keep to themselves."""

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


@pytest.mark.parametrize("json", [True, False])
def test_a_traceback_shows_where_and_why_but_no_values(json: bool) -> None:
    program = PROGRAM.format(json=json)

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr

    for expected in ("safe.failed", "RuntimeError", "the safe is stuck", "open_safe"):
        assert expected in said
    assert "four eight fifteen" not in said
