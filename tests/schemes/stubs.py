"""Stand-ins for jobs: types whose command is a small shell script, run under real supervisors in forked processes."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.jobs.job_star import JobStar, write_job_star
from relion4plugin.jobs.job_type import JobType
from relion4plugin.jobs.parameters import parameter
from relion4plugin.schemes.executors.plan import Plan
from relion4plugin.schemes.executors.process import ProcessExecutor
from relion4plugin.schemes.executors.supervisor import supervise
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import read_scheme_star, scheme_text
from relion4plugin.schemes.session import RunOptions, run_scheme

# Finished executions are counted by exclusive files: doing one launch twice fails and shows.
SCRIPT = """#!/bin/sh
dir=$1; launch=$2; flag=$3; shift 3
folder=$(dirname "$dir")
echo "$dir $flag" >> stubs/calls
if [ -e "stubs/slow_$folder" ]; then
    while [ ! -e "$dir/RELION_JOB_ABORT_NOW" ]; do sleep 0.05; done
    : > "$dir/RELION_JOB_EXIT_ABORTED"; exit 1
fi
if [ -e "stubs/deaf_$folder" ]; then : > stubs/deaf_started; sleep 60; fi
if [ -e "stubs/fail_$folder" ]; then echo "no beam" >&2; : > "$dir/RELION_JOB_EXIT_FAILURE"; exit 1; fi
if [ -e "stubs/die_$folder" ]; then echo "out of memory" >&2; kill -9 $$; fi
for file in "$@"; do
    if [ -e "stubs/content/$(basename "$file")" ]; then cp "stubs/content/$(basename "$file")" "$file"; else : > "$file"; fi
done
set -C
: > "$dir/done_$launch" || { : > stubs/twice; exit 1; }
: > "$dir/RELION_JOB_EXIT_SUCCESS"
"""
MICROGRAPHS = "\n# version 30001\n\ndata_micrographs\n\nloop_\n_rlnMicrographName #1\na.mrc\nb.mrc\n\n"
PARTICLES = "\n# version 30001\n\ndata_particles\n\nloop_\n_rlnImageName #1\n1@a.mrcs\n2@a.mrcs\n3@a.mrcs\n\n"


@dataclass(frozen=True)
class StubOptions:
    do_log: bool = parameter(False, label="", section="", help="")
    use_gpu: bool = parameter(False, label="", section="", help="")
    nr_mpi: int = parameter(1, label="", section="", help="")


def stub_type(label, folder, inputs=(), outputs=(), **rest):
    return JobType(
        label,
        folder,
        "a stub",
        StubOptions,
        commands=lambda o, place, goes_on: (["relion_stub", "--o", place, *o.words("other_args")],),
        inputs=lambda o: {o[name]: "DensityMap.mrc" for name in inputs if o[name]},
        outputs=lambda o, place, goes_on: {place + name: "DensityMap.mrc" for name in outputs},
        **rest,
    )


TYPES = {
    kind.label: kind
    for kind in (
        stub_type("relion.import", "Import", (), ("movies.star",)),
        stub_type("relion.motioncorr", "MotionCorr", ("input_star_mics",), ("corrected_micrographs.star",)),
        stub_type("relion.ctffind", "CtfFind", ("input_star_mics",), ("micrographs_ctf.star",)),
        stub_type("relion.select", "Select", ("fn_mic", "fn_data", "fn_model"), ("micrographs.star", "particles.star")),
        stub_type("relion.autopick", "AutoPick", ("fn_input_autopick",), ("autopick.star",)),
        stub_type("relion.extract", "Extract", ("star_mics", "coords_suffix"), ("particles.star",)),
        stub_type("relion.class2d", "Class2D", ("fn_img",), ("run_it200_optimiser.star",)),
        stub_type("relion.initialmodel", "InitialModel", ("fn_img",), ("initial_model.mrc",)),
        stub_type("relion.refine3d", "Refine3D", ("fn_img", "fn_ref"), ("run_data.star",)),
        stub_type("relion.external", "External", ("in_mic",), ()),
    )
}


def stub_plan(run):
    outputs = run.kind.nodes_out(run.options, Path(run.directory), run.is_continue)
    flag = "--continue" if run.is_continue else "--fresh"
    return Plan((("/bin/sh", "stubs/job.sh", run.directory.rstrip("/"), run.launch, flag, *outputs),))


class ForkedChild:
    def __init__(self, pid):
        self.pid, self.code = pid, None

    def poll(self):
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = status if pid else None
        return self.code


class ForkExecutor(ProcessExecutor):
    """Supervisors without the start of an interpreter."""

    def __init__(self, planner=stub_plan):
        super().__init__("stub", planner)

    def spawn(self, run):
        pid = os.fork()
        if pid:
            return ForkedChild(pid)
        try:
            os.setsid()
            os.chdir(run.root)
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            signal.alarm(90)  # no test leaves one behind for ever
            supervise(Path(run.directory), run.launch)
        finally:
            os._exit(0)


def make_project(root, schemes):
    """Write schemes (scheme, templates: node -> type and options) and the stub script."""
    (root / "stubs" / "content").mkdir(parents=True)
    (root / "stubs" / "job.sh").write_text(SCRIPT)
    (root / "stubs" / "content" / "micrographs.star").write_text(MICROGRAPHS)
    (root / "stubs" / "content" / "particles.star").write_text(PARTICLES)
    for scheme, templates in schemes:
        folder = root / scheme.name
        folder.mkdir(parents=True)
        (folder / "scheme.star").write_text(scheme_text(scheme))
        for node, (label, options) in templates.items():
            (folder / node).mkdir()
            write_job_star(folder / node / "job.star", JobStar(label, options=options))
    return Project(root)


def run_stubs(project, name, executor=None, lines=None, **options):
    show = (lambda line: None) if lines is None else lines.append
    return run_scheme(project, name, executor or ForkExecutor(), RunOptions(show=show, types=TYPES.__getitem__, **options))


def calls(project):
    path = project.root / "stubs" / "calls"
    return path.read_text().splitlines() if path.exists() else []


def state(project, name):
    return read_scheme_star(project.scheme_file(name))
