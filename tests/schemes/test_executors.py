import fcntl
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes.executors import slots
from relion4plugin.schemes.executors.base import RECORDS, JobRun
from relion4plugin.schemes.executors.choice import NAMES, executor
from relion4plugin.schemes.executors.native import native_plan
from relion4plugin.schemes.executors.plan import Plan, read_plan, write_plan
from relion4plugin.schemes.executors.process import ProcessExecutor
from relion4plugin.schemes.executors.queue import queue_plan
from relion4plugin.schemes.executors.relion import relion_plan
from relion4plugin.schemes.executors.supervisor import supervise
from relion4plugin.schemes.pipeline import Status
from relion4plugin.schemes.runner import Outcome
from relion4plugin.schemes.session import RunOptions, dry_run
from tests.schemes.shipped_schemes import PREP_TEMPLATES, prep
from tests.schemes.stubs import TYPES, ForkExecutor, make_project, stub_type

pytestmark = pytest.mark.usefixtures("no_fsync")
MPI = stub_type("relion.class3d", "Class3D")
TWO = replace(MPI, commands=lambda o, place, goes_on: (["relion_refine_mpi", "--o", f"{place}run", "$HOME/x y"], ["touch", f"{place}DONE"]))


def a_run(root, kind=TYPES["relion.import"], **options):
    directory = f"{kind.folder}/job001/"
    (root / directory / RECORDS).mkdir(parents=True, exist_ok=True)
    return JobRun(root, directory, "launch1", kind, options)


def wait(handle):
    end = time.monotonic() + 30
    while (result := handle.poll()) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    return result


def sh(text, **rest):
    return ForkExecutor(lambda run: Plan((("/bin/sh", "-c", text),), **rest))


@pytest.mark.parametrize(
    ("script", "counts", "status", "message"),
    [
        (": > Import/job001/RELION_JOB_EXIT_SUCCESS", False, Status.SUCCEEDED, ""),
        (": > Import/job001/RELION_JOB_EXIT_SUCCESS; exit 1", False, Status.SUCCEEDED, ""),
        (": > Import/job001/RELION_JOB_EXIT_ABORTED; exit 1", False, Status.ABORTED, ""),
        ("echo oh >&2; : > Import/job001/RELION_JOB_EXIT_FAILURE", False, Status.FAILED, "sh reported a failure; run.err ends: oh"),
        ("true", False, Status.FAILED, "sh ended with exit code 0 and without a marker"),
        ("true", True, Status.SUCCEEDED, ""),
        ("echo no >&2; exit 3", True, Status.FAILED, "sh ended with exit code 3 and without a marker; run.err ends: no"),
    ],
)
def test_how_a_job_ended(tmp_path, script, counts, status, message):
    run = a_run(tmp_path)
    end = wait(sh(script, exit_code_counts=counts).start(run))
    assert (end.status, end.message) == (status, message)
    markers = [path.name for path in run.path.glob("RELION_JOB_EXIT_*")]
    assert markers == [f"RELION_JOB_EXIT_{ {Status.SUCCEEDED: 'SUCCESS', Status.FAILED: 'FAILURE'}.get(status, 'ABORTED') }"]


def test_a_marker_before_the_last_command_is_not_believed(tmp_path):
    early = ("/bin/sh", "-c", ": > Import/job001/RELION_JOB_EXIT_SUCCESS")
    failing, last = ("/bin/sh", "-c", "exit 2"), ("/bin/sh", "-c", ": > never")
    end = wait(ForkExecutor(lambda run: Plan((early, failing, last))).start(a_run(tmp_path)))
    assert end.status is Status.FAILED and "exit code 2" in end.message
    assert not (tmp_path / "never").exists()


def test_a_program_that_is_not_there(tmp_path):
    end = wait(ForkExecutor(lambda run: Plan((("/no/such/program",),))).start(a_run(tmp_path)))
    assert end.status is Status.FAILED and "cannot start /no/such/program: No such file" in end.message


def test_a_launch_is_carried_out_once(tmp_path):
    run = a_run(tmp_path)
    script = "echo x >> times; : > Import/job001/RELION_JOB_EXIT_SUCCESS"
    one, two = sh(script).start(run), sh(script).start(run)
    assert wait(one).status is wait(two).status is Status.SUCCEEDED
    assert wait(sh(script).attach(run)).status is Status.SUCCEEDED
    assert (tmp_path / "times").read_text() == "x\n"
    assert sh(script).attach(replace(run, launch="another")) is None


def test_cancel_ends_the_whole_group(tmp_path):
    run = a_run(tmp_path)
    handle = sh("sleep 60 & echo $! > pid; wait").start(run)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.01)
    handle.cancel()
    assert wait(handle).status is Status.ABORTED
    state = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    end = time.monotonic() + 5
    while state.exists() and " Z " not in state.read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_killed_supervisor_is_a_failed_job(tmp_path):
    """Conformance 17: no process, no word: Failed."""
    run = a_run(tmp_path)
    handle = sh("echo working >&2; sleep 60").start(run)
    while not (run.path / "run.err").exists() or not (run.path / "run.err").read_text():
        time.sleep(0.01)
    os.kill(handle.child.pid, 9)
    end = wait(handle)
    assert end.status is Status.FAILED and "killed without leaving a marker; run.err ends: working" in end.message
    assert (run.path / "RELION_JOB_EXIT_FAILURE").exists()


def test_a_real_supervisor(tmp_path):
    run = a_run(tmp_path)
    plan = Plan(((sys.executable, "-c", "open('Import/job001/RELION_JOB_EXIT_SUCCESS', 'w')"),))
    assert wait(ProcessExecutor("test", lambda run: plan).start(run)).status is Status.SUCCEEDED


def test_a_plan_survives_its_file(tmp_path):
    plan = Plan((("a", "b c"), ("d",)), (), True, True)
    write_plan(tmp_path / "plan", plan)
    assert read_plan(tmp_path / "plan") == plan


def programs(root, monkeypatch, *names):
    """Put empty programs on PATH."""
    (root / "bin").mkdir(exist_ok=True)
    for name in names:
        (root / "bin" / name).write_text("#!/bin/sh\n")
        (root / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{root / 'bin'}:{os.environ['PATH']}")


def test_commands_of_relion(tmp_path, monkeypatch):
    programs(tmp_path, monkeypatch, "relion_refine_mpi")
    monkeypatch.setenv("HOME", "/home/me")
    run = a_run(tmp_path, TWO, nr_mpi="3")
    commands = relion_plan(run).commands
    assert commands[0][:4] == ("mpirun", "-n", "3", "relion_refine_mpi")
    assert commands[0][-3:] == ("/home/me/x y", "--pipeline_control", "Class3D/job001/")
    assert commands[1] == ("touch", "Class3D/job001/DONE")
    monkeypatch.setenv("RELION_MPIRUN", "srun --mpi pmix")
    assert relion_plan(run).commands[0][:5] == ("srun", "--mpi", "pmix", "-n", "3")
    with pytest.raises(UserError, match="40 MPI processes without a queue; at most 32"):
        relion_plan(a_run(tmp_path, TWO, nr_mpi="40"))
    with pytest.raises(UserError, match="the program relion_stub is not on this machine"):
        relion_plan(a_run(tmp_path, MPI))


def test_which_executor_takes_a_job(tmp_path, monkeypatch):
    programs(tmp_path, monkeypatch, "relion_stub")
    native = replace(MPI, native=lambda options: lambda execution: ())
    words = executor("auto").commands(a_run(tmp_path, native))[0]
    assert words[1:] == ("-m", "relion4plugin.cli.main", "run-job", "Class3D/job001/")
    assert executor("relion").commands(a_run(tmp_path, native))[0][0] == "relion_stub"
    assert executor("auto").commands(a_run(tmp_path, MPI))[0][0] == "relion_stub"
    with pytest.raises(UserError, match=r"has no engine for relion\.class3d"):
        executor("native").commands(a_run(tmp_path, MPI))
    assert native_plan(a_run(tmp_path, native, use_gpu="Yes", gpu_ids="1:0")).gpus == ("0", "1")
    external = TYPES["relion.external"]
    assert executor("native").commands(a_run(tmp_path, external))[0][0] == "relion_stub"
    with pytest.raises(UserError, match="there is no executor 'cloud'; known: auto, native, relion, queue, dry"):
        executor("cloud")
    assert [executor(name).name for name in NAMES] == list(NAMES)


TEMPLATE = """#!/bin/sh
#SBATCH --ntasks=XXXmpinodesXXX -N XXXnodesXXX -c XXXthreadsXXX -p XXXqueueXXX
#SBATCH -e XXXerrfileXXX -o XXXoutfileXXX -J XXXnameXXX --gres=XXXextra1XXX
# XXXcoresXXX XXXdedicatedXXX
srun XXXcommandXXX
"""
QUEUE = {
    "nr_mpi": "3",
    "nr_threads": "4",
    "min_dedicated": "8",
    "queuename": "gpu",
    "qsub": "sbatch --parsable",
    "qsub_extra1": "gpu:2",
    "do_queue": "Yes",
}


def test_the_script_of_a_queue(tmp_path):
    (tmp_path / "slurm.sh").write_text(TEMPLATE)
    run = a_run(tmp_path, TWO, qsubscript="slurm.sh", **QUEUE)
    plan = executor("auto").commands(run)
    assert plan == (("sbatch", "--parsable", "Class3D/job001/run_submit.script"),)
    assert (run.path / "run_submit.script").read_text().splitlines()[1:] == [
        "#SBATCH --ntasks=3 -N 2 -c 4 -p gpu",
        "#SBATCH -e Class3D/job001/run.err -o Class3D/job001/run.out -J Class3D/job001/ --gres=gpu:2",
        "# 12 8",
        'srun relion_refine_mpi --o Class3D/job001/run "$HOME/x y" --pipeline_control Class3D/job001/',
        "touch Class3D/job001/DONE",
    ]
    with pytest.raises(UserError, match="the submission script '' does not exist"):
        executor("queue").commands(a_run(tmp_path, TWO))
    (tmp_path / "slurm.sh").write_text("#!/bin/sh\n")
    with pytest.raises(UserError, match="has no line with XXXcommandXXX"):
        queue_plan(run, Plan((("a",),)))


FAKE_SBATCH = """#!/bin/sh
echo "Submitted batch job 4711"
[ -e refuse ] && { echo "QOS limit" >&2; exit 1; }
(sleep 0.2; sh "$1") >/dev/null 2>&1 &
"""
FAKE_SQUEUE = """#!/bin/sh
[ -e gone ] && { echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; }
echo 4711
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    programs(tmp_path, monkeypatch, "sbatch", "squeue", "scancel")
    (tmp_path / "bin/sbatch").write_text(FAKE_SBATCH)
    (tmp_path / "bin/squeue").write_text(FAKE_SQUEUE)
    (tmp_path / "bin/scancel").write_text("#!/bin/sh\necho $1 > cancelled\n")
    monkeypatch.setattr("relion4plugin.schemes.executors.queue_watch._PAUSE", 0.02)
    monkeypatch.setattr("relion4plugin.schemes.executors.queue_watch._ASK_EVERY", 0.05)
    monkeypatch.setattr("relion4plugin.schemes.executors.queue_watch._LATE", 0.1)
    (tmp_path / "script.sh").write_text("true\n")
    return tmp_path


def submit(root):
    return ForkExecutor(lambda run: Plan((("sbatch", "script.sh"),), queued=True)).start(a_run(root))


def test_a_job_in_a_queue(cluster):
    (cluster / "script.sh").write_text(": > Import/job001/RELION_JOB_EXIT_SUCCESS\n")
    assert wait(submit(cluster)).status is Status.SUCCEEDED
    assert (cluster / "Import/job001/run.out").read_text() == "Submitted batch job 4711\n"
    assert (cluster / f"Import/job001/{RECORDS}/launch1.queue").read_text() == "4711\n"


def test_a_queue_that_refuses_or_loses_a_job(cluster):
    (cluster / "gone").touch()
    end = wait(submit(cluster))
    assert end.status is Status.FAILED and "job 4711 left the queue without a marker" in end.message
    shutil.rmtree(cluster / "Import")
    (cluster / "refuse").touch()
    end = wait(submit(cluster))
    assert end.status is Status.FAILED and "refused the job (exit code 1): QOS limit" in end.message


def test_a_job_is_taken_out_of_the_queue(cluster):
    handle = submit(cluster)
    while not (cluster / f"Import/job001/{RECORDS}/launch1.queue").exists():
        time.sleep(0.01)
    handle.cancel()
    assert wait(handle).status is Status.ABORTED
    assert (cluster / "cancelled").read_text() == "4711\n"


def test_a_queued_job_outlives_its_supervisor(cluster):
    handle = submit(cluster)
    while not (cluster / f"Import/job001/{RECORDS}/launch1.queue").exists():
        time.sleep(0.01)
    os.kill(handle.child.pid, 9)
    os.waitpid(handle.child.pid, 0)
    again = ForkExecutor().attach(a_run(cluster))
    (cluster / "Import/job001/RELION_JOB_EXIT_SUCCESS").touch()
    assert wait(again).status is Status.SUCCEEDED
    assert (cluster / "Import/job001/run.out").read_text().count("Submitted") == 1


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("RELION4PLUGIN_GPU_LOCKS", str(tmp_path / "slots"))
    monkeypatch.setenv("RELION4PLUGIN_GPUS", "0,1")
    monkeypatch.setattr(slots, "_PAUSE", 0.01)


def test_gpu_slots(gpus):
    first = slots.acquire((), "one")
    second = slots.acquire((), "two")
    assert (list(first), list(second)) == (["0"], ["1"])
    told = []
    assert slots.acquire((), "three", lambda: True, told.append) is None
    assert "two, since" in told[0] and f"process {os.getpid()} " in told[0]
    assert slots.acquire(("0", "1"), "all", lambda: True) is None
    slots.release(first)
    assert slots.acquire(("0", "1"), "all", lambda: True) is None
    slots.release(second)
    both = slots.acquire(("0", "1"), "all")
    assert list(both) == ["0", "1"]
    slots.release(both)


def test_a_job_waits_for_a_gpu_and_gives_it_back(gpus, tmp_path):
    mine = slots.acquire(("0", "1"), "another job")
    run = a_run(tmp_path)
    script = "echo $CUDA_VISIBLE_DEVICES > card; : > Import/job001/RELION_JOB_EXIT_SUCCESS"
    # A forked supervisor would have the slots of this process open.
    handle = ProcessExecutor("test", lambda run: Plan((("/bin/sh", "-c", script),), gpus=())).start(run)
    while not (run.path / "run.out").exists() or "another job" not in (run.path / "run.out").read_text():
        assert handle.poll() is None
        time.sleep(0.01)
    slots.release({"1": mine["1"]})
    assert wait(handle).status is Status.SUCCEEDED
    assert (tmp_path / "card").read_text() == "1\n"
    slots.release({"0": mine["0"]})
    with open(tmp_path / "slots/gpu1") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_slot_of_a_killed_supervisor_is_free(gpus, tmp_path):
    run = a_run(tmp_path)
    handle = sh("sleep 60", gpus=("0",)).start(run)
    while not (tmp_path / "slots/gpu0").exists() or not (tmp_path / "slots/gpu0").read_text():
        time.sleep(0.01)
    os.kill(handle.child.pid, 9)
    wait(handle)
    end = time.monotonic() + 5
    assert slots.acquire(("0",), "next", lambda: time.monotonic() > end) is not None


def test_supervise_goes_away_from_a_claimed_launch(tmp_path):
    run = a_run(tmp_path)
    run.record("owner").write_text("someone")
    assert supervise(run.path, run.launch) == 1


def test_a_dry_run_leaves_the_project_alone(tmp_path):
    project = make_project(tmp_path, [(prep(), PREP_TEMPLATES)])
    (tmp_path / "Import/job007").mkdir(parents=True)
    (tmp_path / "Import/job007/job.star").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    end, commands = dry_run(project, "prep", RunOptions(show=lambda line: None, types=TYPES.__getitem__))
    assert end.outcome is Outcome.PAUSED
    assert commands == [
        "relion_stub --o Import/job001/ --pipeline_control Import/job001/",
        "relion_stub --o MotionCorr/job002/ --do_at_most 50 --pipeline_control MotionCorr/job002/",
        "relion_stub --o CtfFind/job003/ --pipeline_control CtfFind/job003/",
    ]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
