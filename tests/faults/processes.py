"""Our own processes, and what they say."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Process:
    """One of our processes."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.popen.kill()
        self.popen.wait()

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    async def says(self, event: str, within: float = 15) -> None:
        """Wait until its log has that."""
        async with asyncio.timeout(within):
            while event not in self.said:
                await asyncio.sleep(0.05)


def launch(name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path, launcher: Sequence[str]) -> Process:
    """Start one of our commands, in a process that also knows the job types of `jobs.py`; of the program that
    GQL_TEST_PROGRAM names the folder of."""
    command = [*launcher, sys.executable, "-m", "tests.faults.jobs", *arguments]
    with log.open("wb") as output:
        given, program = {**os.environ, **environment}, environment.get("GQL_TEST_PROGRAM", ROOT)
        popen = subprocess.Popen(command, cwd=program, env=given, stdout=output, stderr=subprocess.STDOUT)
    return Process(name, popen, log)
