"""Scripts in the pages do what the pages say."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from relion4plugin.jobs.markers import ABORTED, FAILURE, SUCCESS

FACILITY = Path(__file__).resolve().parents[1] / "docs" / "facility.md"


@pytest.mark.parametrize(("words", "started"), [((), {"stopped"}), (("aborted",), {"stopped", "rebooted"})])
def test_go_on_starts_what_has_not_ended(tmp_path, words, started):
    script = re.search(r"```sh\n(#!/bin/bash\n# go_on\.sh.*?)```", FACILITY.read_text(encoding="utf-8"), re.DOTALL)[1]
    (tmp_path / "go_on.sh").write_text(script)
    stub = tmp_path / "bin" / "relion4plugin"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\n[ "$1 $2" = "scheme run" ] && : > "Schemes/$3/started"\n')
    stub.chmod(0o755)
    schemes = tmp_path / "projects" / "a session" / "Schemes"
    for name, marker in {"stopped": "scheme.star", "done": SUCCESS, "failed": FAILURE, "rebooted": ABORTED}.items():
        (schemes / name).mkdir(parents=True)
        (schemes / name / marker).touch()
    path = f"{stub.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", tmp_path / "go_on.sh", "projects", *words], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True)

    def found():
        return {file.parent.name for file in schemes.glob("*/started")}

    end = time.monotonic() + 10
    while found() != started and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.2)
    assert found() == started
