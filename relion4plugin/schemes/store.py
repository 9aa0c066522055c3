"""Schemes on disk: loading for a run, saving between nodes, the copy before an edit."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.disk_errors import write_error
from relion4plugin.schemes.model import UNDEFINED, Scheme
from relion4plugin.schemes.project import Project, scheme_path
from relion4plugin.schemes.scheme_star import read_scheme_document, scheme_text

Report = Callable[[str], None]


def load_scheme(project: Project, name: str, report: Report = lambda line: None, take_name: bool = False) -> Scheme:
    """Load a scheme for running or editing.

    A current node ``undefined`` becomes the start node. A job that is said to have started but has no directory has not
    started.

    Parameters
    ----------
    project : Project
        The project.
    name : str
        Name of the scheme (``prep`` or ``Schemes/prep/``).
    report : callable
        Receives one line for each thing that was read otherwise than it stands in the file.
    take_name : bool
        Accept a file that carries the name of another scheme (a copied folder) and give it its own.

    Raises
    ------
    UserError
        If there is no such scheme, its file is damaged, or it carries another name.
    """
    path = project.scheme_file(name)
    if not path.exists():
        known = ", ".join(project.scheme_names()) or "none"
        raise UserError(f"no scheme {name} in {project.root}: {path} is missing; schemes here: {known}")
    document = read_scheme_document(path)
    for remark in document.remarks:
        report(f"{path}, line {remark.line}: {remark.text}")
    scheme = document.scheme
    if scheme.name != scheme_path(name):
        if not take_name:
            line = document.lines["scheme_general", "rlnSchemeName"]
            raise UserError(f"{path}, line {line}: the file says it is {scheme.name}; correct the name, or copy a scheme by its command")
        report(f"{path}: renamed from {scheme.name} to {scheme_path(name)}")
        scheme = replace(scheme, name=scheme_path(name))
    if scheme.current_node == UNDEFINED:
        scheme = scheme.with_current_node(scheme.start_node)
    for job in scheme.jobs.values():
        if job.has_started and not (job.has_directory and (project.root / job.name).is_dir()):
            report(f"{path}: job {job.original} is said to have started but has no directory '{job.name}'; it starts afresh")
            scheme = scheme.with_job(replace(job, name=job.original, has_started=False))
    return scheme


def save_scheme(project: Project, scheme: Scheme, durable: bool = True) -> None:
    """Write the scheme.star of a scheme; readers see the old or the new one.

    Parameters
    ----------
    project : Project
        The project.
    scheme : Scheme
        The scheme; the file is that of its name.
    durable : bool
        Wait until the disk has it. Without, a killed process loses nothing, but a power cut may lose the last steps:
        good enough after an operator, which can run again, not after a job was started.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    path = project.scheme_file(scheme.name)
    text = scheme_text(scheme)
    if durable:
        atomic_write_text(path, text)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise write_error(path, error) from error


def back_up_scheme(project: Project, scheme: Scheme) -> None:
    """Keep the file of a scheme as scheme.star.bck, as RELION does before each edit.

    Raises
    ------
    UserError
        If the copy cannot be written.
    """
    path = project.scheme_file(scheme.name)
    if path.exists():
        try:
            shutil.copyfile(path, path.with_name(f"{path.name}.bck"))
        except OSError as error:
            raise UserError(f"cannot write {path}.bck: {(error.strerror or str(error)).lower()}; make the folder writable") from error
