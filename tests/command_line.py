"""Commands of the program, in processes forked from one that has imported it: to import it takes seconds each time."""

import atexit
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-c", "from gql_server.cli import main; main()"]
FORKS = """
import gc, json, os, signal, sys
import gql_server.app, gql_server.db.doctor, gql_server.db.transfer, gql_server.graph.lint, gql_server.processes
import gql_server.processes.database, gql_server.processes.service_tokens
from gql_server.cli import main

gc.freeze()  # else each child walks, and so copies, all of it

def asked():
    for line in sys.stdin:
        if not (child := os.fork()):
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)

if given := asked():
    for number, path in enumerate((os.devnull, *given["outputs"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(given["environment"])
    sys.argv[1:] = given["arguments"]
    signal.alarm(120)
    main()
"""


@cache
def forking(before: str) -> subprocess.Popen[str]:
    """The process that commands are forked from, which has done something before it imported the program."""
    process = subprocess.Popen(
        [sys.executable, "-c", before + FORKS],
        env=environment(Path()),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(process.communicate)
    return process


def environment(folder: Path, **given: str) -> dict[str, str]:
    """Of our environment all but the settings, and those that are given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GQL_")}
    return {**inherited, "GQL_DATA_DIR": str(folder / "data"), "COLUMNS": "200", **given}


def run(folder: Path, *arguments: str, before: str = "", **given: str) -> subprocess.CompletedProcess[str]:
    """A command that has ended, in a folder of its own and with these settings."""
    process = forking(before)
    assert process.stdin is not None
    assert process.stdout is not None
    with TemporaryDirectory() as said:
        outputs = [Path(said, name) for name in ("stdout", "stderr")]
        asked = {"arguments": arguments, "environment": environment(folder, **given), "outputs": [*map(str, outputs)]}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, *(output.read_text() for output in outputs))
