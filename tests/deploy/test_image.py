"""The image, as far as it can be built without Docker: its commands on the files that it is given."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from gql_server.processes.operating_day import DAY

ROOT = Path(__file__).parents[2]
COPY = re.compile(r"^COPY (?!--from)(.+) (\S+)$", re.MULTILINE)


def test_the_wheel_of_the_image_is_built_of_the_files_that_the_image_is_given(tmp_path: Path) -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    given = {line[1:] for line in lines if line.startswith("!")}
    for sources, target in COPY.findall((ROOT / "Dockerfile").read_text("utf-8").partition("\n\n\n")[0]):
        for source in sources.split():
            assert source in given
            if (ROOT / source).is_file():
                shutil.copy(ROOT / source, tmp_path / target)
            elif source != "frontend":
                ignored = shutil.ignore_patterns("__pycache__", "static")
                shutil.copytree(ROOT / source, tmp_path / target, ignore=ignored)

    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheels", "."]
    subprocess.run(build, cwd=tmp_path, check=True)

    [wheel] = (tmp_path / "wheels").glob("*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    assert {f"gql_server/examples/{step.file}" for step in DAY} <= {*held}
    assert "gql_server/migrations/env.py" in held
