"""Stands for the runner of a scheme: takes its lock, writes a line, and lives until it is ended.

Usage: fake_runner.py LOG SCHEME, started in the project directory.
"""

import os
import signal
import sys
import time
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.schemes.locks import scheme_lock
from relion4plugin.schemes.project import Project


def main() -> None:
    log, scheme = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with scheme_lock(Project(Path.cwd()), scheme, "a test"):
            with open(log, "a") as stream:
                stream.write(f"{os.getpid()}\t{scheme}\t{Path.cwd()}\n")
            time.sleep(300)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
