"""A job's entry in the pipeline and its directory, from number to final state.

Each change of default_pipeline.star is read, made and written within one hold of the pipeline's lock, which is never held
while a job runs. The number of a job and its entry are made in the same hold, so no two jobs share one.
"""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.jobs.job_star import JobStar, write_job_star
from relion4plugin.jobs.job_type import JobType
from relion4plugin.jobs.markers import ABORT_NOW, ABORTED, FAILURE, SUCCESS
from relion4plugin.schemes.executors.base import RECORDS
from relion4plugin.schemes.labels import job_folder
from relion4plugin.schemes.launches import Launch
from relion4plugin.schemes.locks import pipeline_lock
from relion4plugin.schemes.pipeline import Pipeline, Process, Status, pipeline_of_job
from relion4plugin.schemes.pipeline_star import read_pipeline, write_pipeline
from relion4plugin.schemes.pipeline_status import declared_outputs, touch_nodes
from relion4plugin.schemes.project import Project

_CHANGED = ".pipeline_has_changed"
_ITERATED = ("relion.class2d", "relion.class3d", "relion.refine3d", "relion.multibody", "relion.initialmodel")


def open_pipeline(project: Project) -> Pipeline:
    """Read the pipeline of a project, making an empty one where there is none.

    Raises
    ------
    UserError
        If it cannot be read or made.
    """
    if not project.pipeline_path.exists():
        with pipeline_lock(project, "making the pipeline"):
            if not project.pipeline_path.exists():
                write_pipeline(project.pipeline_path, Pipeline())
    return read_pipeline(project.pipeline_path)


def prepare_job(project: Project, launch: Launch, job: JobStar, kind: JobType) -> str:
    """Give a job its directory and its entry in the pipeline, as Scheduled; returns the directory.

    A launch that got a directory before a runner was killed gets the same one again.

    Parameters
    ----------
    project : Project
        The project.
    launch : Launch
        The launch; without a directory a new one with the next number is made.
    job : JobStar
        Type and options as they are executed, with `is_continue`.
    kind : JobType
        Its type.

    Raises
    ------
    UserError
        If an option makes no sense, or the project cannot be written.
    """
    inputs = kind.nodes_in(job.options)
    label = kind.full_label(job.options)
    with pipeline_lock(project, f"starting {launch.node}"):
        pipeline = read_pipeline(project.pipeline_path)
        pipeline, process = _entry(project, pipeline, launch, label)
        place = Path(process.name)
        outputs = kind.nodes_out(job.options, place, job.is_continue)
        _fill_directory(project.root / place, replace(job, type_label=label), launch)
        if job.is_continue and label.startswith(_ITERATED):
            gone = [name for name in pipeline.outputs_of(process.name) if not (project.root / name).exists()]
            pipeline = pipeline.without_nodes(gone)
        pipeline = pipeline.with_inputs(process.name, inputs).with_outputs(process.name, outputs)
        write_pipeline(project.root / place / "job_pipeline.star", pipeline_of_job(pipeline, process.name))
        _publish(project, pipeline, process.name)
    return process.name


def job_inputs(project: Project, directory: str) -> list[str]:
    """Return the input files of a job: those of its options now, and those of earlier executions."""
    return read_pipeline(project.root / directory / "job_pipeline.star").inputs_of(directory)


def set_status(project: Project, directory: str, status: Status) -> None:
    """Give a job another state; one that succeeded gets the further files that it says it made.

    Raises
    ------
    UserError
        If the pipeline cannot be changed.
    """
    with pipeline_lock(project, f"{status.value} {directory}"):
        pipeline = read_pipeline(project.pipeline_path)
        if directory not in pipeline.processes:
            return
        pipeline = pipeline.with_status(directory, status)
        if status is Status.SUCCEEDED:
            pipeline = pipeline.with_outputs(directory, declared_outputs(project.root / directory))
        _publish(project, pipeline, directory)


def note_start(project: Project, directory: str, commands: Sequence[str]) -> None:
    """Write the commands of an execution into note.txt, and keep the pipeline as it is at this moment."""
    folder = project.root / directory
    lines = "\n".join(commands)
    with open(folder / "note.txt", "a", encoding="utf-8") as stream:
        stream.write(f"\n ++++ Executing new job on {time.ctime()}\n ++++ with the following command(s): \n{lines}\n ++++ \n")
    shutil.copyfile(project.pipeline_path, folder / "default_pipeline.star")


def last_digest(project: Project, directory: str) -> str:
    """Return the digest of the template with which a directory was last started; empty where it is not known."""
    try:
        return (project.root / directory / RECORDS / "template").read_text().strip()
    except FileNotFoundError:
        return ""


def keep_digest(project: Project, directory: str, digest: str) -> None:
    """Remember with which template a directory is started."""
    atomic_write_text(project.root / directory / RECORDS / "template", digest + "\n")


def _left_behind(project: Project, launch: Launch, label: str) -> str:
    """Return the directory that a killed runner made for this launch; empty where there is none."""
    folder = project.root / job_folder(label)
    for path in folder.glob(f"job*/{RECORDS}/{launch.name}.launch"):
        return f"{folder.name}/{path.parent.parent.name}/"
    return ""


def _entry(project: Project, pipeline: Pipeline, launch: Launch, label: str) -> tuple[Pipeline, Process]:
    """Return the pipeline with the job as Scheduled, and see that its directory exists."""
    directory = launch.directory or _left_behind(project, launch, label)
    if directory:
        old = pipeline.processes.get(directory, Process(directory, label))
        process = replace(old, type_label=label, status=Status.SCHEDULED)
        return replace(pipeline, counter=max(pipeline.counter, process.number + 1)).with_process(process), process
    while not _new_directory(project.root / job_folder(label) / f"job{pipeline.counter:03d}", launch):
        pipeline = replace(pipeline, counter=pipeline.counter + 1)
    return pipeline.with_new_process(label)


def _new_directory(path: Path, launch: Launch) -> bool:
    """Make a job directory together with the name of its launch, in one step; False where it exists already."""
    aside = path.with_name(f".{path.name}.{launch.name}")
    try:
        (aside / RECORDS).mkdir(parents=True, exist_ok=True)
        (aside / RECORDS / f"{launch.name}.launch").touch()
        if path.exists():
            shutil.rmtree(aside)
            return False
        os.rename(aside, path)
    except OSError as error:
        raise UserError(f"cannot make the job directory {path}: {(error.strerror or str(error)).lower()}") from error
    return True


def _fill_directory(folder: Path, job: JobStar, launch: Launch) -> None:
    """Write job.star into a job directory and remove the markers of an earlier execution."""
    try:
        (folder / RECORDS).mkdir(parents=True, exist_ok=True)
        (folder / RECORDS / f"{launch.name}.launch").touch()
        for marker in (ABORT_NOW, SUCCESS, FAILURE, ABORTED):
            (folder / marker).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write in the job directory {folder}: {(error.strerror or str(error)).lower()}") from error
    write_job_star(folder / "job.star", job)


def _publish(project: Project, pipeline: Pipeline, name: str) -> None:
    """Write the pipeline and the mirror of a job's files."""
    write_pipeline(project.pipeline_path, pipeline)
    touch_nodes(pipeline, name, project.root)
    os.close(os.open(project.root / _CHANGED, os.O_CREAT | os.O_WRONLY, 0o666))
