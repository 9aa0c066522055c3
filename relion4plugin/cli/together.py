"""A command in several processes that mpirun or srun started: the first runs it, the others help it."""

import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from relion4plugin.cli.job_process import terminable
from relion4plugin.errors import UserError
from relion4plugin.parallel.launched import launched
from relion4plugin.parallel.ranks import Ranks
from relion4plugin.parallel.world import join

SHARED = ("class2d", "class3d", "initialmodel", "refine3d", "run-job")  # commands whose work is shared out


def run_together(words: Sequence[str], run: Callable[[Sequence[str]], int]) -> int:
    """Run a command with the help of the processes that were started with this one.

    Parameters
    ----------
    words
        Command and options.
    run
        Runs them in one process, says what is wrong and returns the exit code.

    Returns
    -------
    int
        Exit code of this process. Any other than 0 of the first process ends all at once, by MPI's abort; only the first says why.
    """
    size, number = launched()
    try:
        if not words or words[0] not in SHARED:
            raise UserError(f"started as {size} processes, but only {', '.join(SHARED)} share their work: start one process")
        ranks = join()
    except UserError as error:
        if number == 0 or (words and words[0] in SHARED):  # one process may lack what the others have
            print(f"error: process {number}: {error}" if number else f"error: {error}", file=sys.stderr)
        return 2
    return _lead(ranks, words, run) if ranks.rank == 0 else _help(ranks)


def _lead(ranks: Ranks, words: Sequence[str], run: Callable[[Sequence[str]], int]) -> int:
    code = 1
    try:
        with terminable():
            code = run(words)
    except SystemExit as end:  # of --help
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    if code:
        ranks.abort(code)  # helpers may be at work for something that has failed
    ranks.order(None, [None] * (ranks.size - 1))
    return code


def _help(ranks: Ranks) -> int:
    from relion4plugin.refinement.shared_expectation import help_leader

    # who ends the leader ends all: it leaves its marker first
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        help_leader(ranks)
    except BaseException:  # else the leader would wait for an answer
        traceback.print_exc()
        sys.stderr.flush()
        ranks.abort(1)
    return 0
