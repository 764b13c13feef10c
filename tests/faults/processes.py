"""Our own processes, and what they say."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["tests.faults.imported"])


class Forked:
    """A process of ours that was forked from one that has imported the program, which takes seconds; used like a Popen."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._process = FORKING.Process(target=_run, args=(arguments, environment, log), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.ident or 0

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise TimeoutError(f"process {self.pid} has not ended after {timeout} s")
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@dataclass
class Process:
    """One of our processes."""

    name: str
    popen: subprocess.Popen[bytes] | Forked
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


def fork(name: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Process:
    """The same of this program, at once."""
    log.touch()
    return Process(name, Forked(arguments, {**os.environ, **environment}, log), log)


def _run(arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    from tests.faults import jobs  # not in the process of the tests, whose job types these are not

    output = os.open(log, os.O_WRONLY | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = arguments
    jobs.run()
