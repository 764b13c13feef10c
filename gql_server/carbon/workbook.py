"""Reads one sheet of an .xlsx workbook through a process of its own, which writes the rows to a file beside it.

A workbook is read as a whole and can be a thousand times larger than its file: that process may use 1 GiB, and only it ends
when that is not enough. Rows then come from the file, one at a time.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gql_server.carbon.refusals import FileRefused

SECONDS_MAX = 600
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of a sheet, as JSON in a file. Iterate as often as you like."""

    rows: Path
    name: str
    told_by: str

    @property
    def reading(self) -> dict[str, str]:
        """Reading of the file: what was inferred and what was told."""
        return {"format": "xlsx", "sheet": self.name, "sheet_from": self.told_by}

    def __iter__(self) -> Iterator[list[Any]]:
        with self.rows.open("rb") as file:
            for line in file:
                yield orjson.loads(line)


def read_workbook(path: Path, sheet: str | None = None) -> Sheet:
    """The named sheet of the workbook, or the only one that has cells. Blocks until it is read. Raises FileRefused."""
    rows = path.with_name(f"{path.name}.rows")
    command = [sys.executable, "-m", "gql_server.carbon.sheets", str(path), str(rows), *([sheet] if sheet else [])]
    answer: dict[str, str] = orjson.loads(output_of(command, path))
    if "refused" in answer:
        raise FileRefused(answer["refused"])
    return Sheet(rows, answer["sheet"], answer["told_by"])


def output_of(command: list[str], path: Path) -> bytes:
    """Output of the process. It is ended when it takes too long, and when its file is removed: nobody waits for it then."""
    until = time.monotonic() + SECONDS_MAX
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=LOOK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                is_late = time.monotonic() > until
                if is_late or not path.exists():
                    process.kill()
                if is_late:
                    raise FileRefused(
                        f"the workbook takes longer than {SECONDS_MAX} seconds to read: save its sheet as “CSV UTF-8”"
                    ) from None
    if process.returncode:
        raise FileRefused("the workbook needs too much memory, or is damaged: save its sheet as “CSV UTF-8”")
    return output
