"""Runs a scheme in forked processes that are killed at random moments until it has finished; prints the number of kills.

A process is killed some milliseconds after its log grew by a random number of bytes, so how far it comes does not depend on
the load of the machine.

Usage: python -m tests.schemes.kill_runner ROOT SEED MOST_KILLS LONGEST_LIFE_IN_BYTES
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from relion4plugin.schemes.project import Project
from relion4plugin.schemes.runner import Outcome
from tests.schemes.stubs import run_stubs

FINISHED, BROKEN = 0, 3
_LONGEST_PAUSE = 0.006


def size(path):
    return path.stat().st_size if path.exists() else 0


def live(project):
    """Run the scheme in this process to its end."""
    try:
        code = FINISHED if run_stubs(project, "toy").outcome is Outcome.FINISHED else BROKEN
    except BaseException as error:
        print(f"runner: {error!r}", file=sys.stderr, flush=True)
        code = BROKEN
    os._exit(code)


def main(root, seed, most_kills, longest):
    os.fsync = lambda descriptor: None  # killed processes lose nothing that was written
    chance, kills, log = random.Random(seed), 0, root / "Schemes/toy/events.jsonl"
    while True:
        pid = os.fork()
        if not pid:
            live(Project(root))
        target = size(log) + (chance.randint(0, longest) if kills < most_kills else 1 << 40)
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if size(log) >= target:
                time.sleep(chance.uniform(0, _LONGEST_PAUSE))
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                kills += 1
                break
            time.sleep(0.0005)
        if done:
            code = os.waitstatus_to_exitcode(status)
            print(kills)
            return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
