"""What all refinement jobs do around the engine: read the particles, keep the job directory, name a full disk."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relion4plugin.errors import UserError
from relion4plugin.jobs.inputs import read_input_particles
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.jobdir import JobDirectory, prepare_output
from relion4plugin.jobs.parameters import to_job_options
from relion4plugin.jobs.refinement_options import own_command
from relion4plugin.parallel.world import world
from relion4plugin.progress import Progress

if TYPE_CHECKING:
    from relion4plugin.files.particles import ParticleSet

OPTIMISER_NODE = "ProcessData.star.relion.optimiser"
PARTICLES_NODE = "ParticlesData.star.relion"
MAP_NODE = "DensityMap.mrc"
MASK_NODE = "Mask3D.mrc"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


@dataclass(frozen=True)
class JobRun:
    """One execution of a job: what is written into its directory besides the results.

    `command` is our command's name; `outputs` maps each result to its RELION node type; `needed_bytes` is what the run may write;
    `goes_on` says that what is in the directory is taken up, without an optimiser file being named.
    """

    job_type: str
    command: str
    parameters: Any
    out_dir: Path
    outputs: Mapping[Path, str]
    needed_bytes: int
    goes_on: bool = False


def resume_of(parameters: Any) -> Path | None:
    """Return the optimiser file to continue from, None for a new run."""
    return Path(parameters.fn_cont) if parameters.fn_cont else None


def read_input(parameters: Any) -> "ParticleSet":
    """Read the particles of a new run, or those of the iteration that is continued.

    Raises
    ------
    UserError
        If they cannot be read, or there are fewer particles than classes.
    """
    source = Path(parameters.fn_img)
    if parameters.fn_cont and not (parameters.fn_img and source.is_file()):
        source = _data_star(Path(parameters.fn_cont))
    particles = read_input_particles(source)
    n_classes = 1 if getattr(parameters, "parts_per_class", 0) else getattr(parameters, "nr_classes", 1)
    if n_classes > len(particles):
        raise UserError(f"nr_classes is {n_classes} but {source} has only {len(particles)} particles: lower --K")
    return particles


def _data_star(optimiser: Path) -> Path:
    """Find the data file of the iteration that is continued: as named in the optimiser, else beside it."""
    from relion4plugin.files.star import read_star

    general = read_star(optimiser).get("optimiser_general", {})
    named = str(general.get("rlnExperimentalDataStarFile", "")) if isinstance(general, Mapping) else ""
    beside = optimiser.with_name(optimiser.name.replace("_optimiser.star", "_data.star"))
    for candidate in (Path(named) if named else beside, beside):
        if candidate.is_file():
            return candidate
    raise UserError(f"--continue {optimiser}: its data file {named or beside} does not exist; put it beside the optimiser file")


def volume_bytes(box_size: int, n_maps: int) -> int:
    """Return the size of maps on disk."""
    return n_maps * 4 * box_size**3


def moment_bytes(box_size: int, n_maps: int, padding: int) -> int:
    """Return the most that the moments of a gradient descent in 3D take: those of three iterations at a time."""
    size = padding * box_size
    return 3 * n_maps * 20 * size * size * (size // 2 + 1)  # two complex and one real number of four bytes per part


@contextmanager
def job_directory(run: JobRun, progress: Progress, job_star: bool, overwrite: bool) -> Iterator[Progress]:
    """Keep the job directory of a run while the engine works in it; yields the progress to give to the engine.

    Parameters
    ----------
    run
        What runs, and where.
    progress
        Told how far the run is.
    job_star
        Also keep the job directory's own files (job.star, note.txt, run.out, run.err, job_pipeline.star, exit markers).
    overwrite
        Remove the results of an earlier run instead of refusing.

    Raises
    ------
    UserError
        If the directory cannot be used, or the disk fails while running.
    """
    world()  # refuses processes that do not know of each other before they write
    optimiser = resume_of(run.parameters)
    same_place = run.goes_on or (optimiser is not None and optimiser.parent.resolve() == run.out_dir.resolve())
    prepare_output(run.out_dir, run.needed_bytes, overwrite, continuing=same_place)
    with JobDirectory(
        run.out_dir,
        JobStar(run.job_type, is_continue=run.goes_on or optimiser is not None, options=to_job_options(run.parameters)),
        command=own_command(run.command, run.parameters, run.out_dir),
        inputs=_input_nodes(run.parameters),
        outputs=run.outputs,
        progress=progress,
        enabled=job_star,
    ) as job:
        try:
            yield job.progress
        except OSError as error:
            if error.errno in _DISK_ERRORS:
                raise UserError(
                    f"cannot write to {run.out_dir}: {error.strerror}; make room there, "
                    "then --continue from the last run_itNNN_optimiser.star"
                ) from error
            raise


def _input_nodes(parameters: Any) -> dict[str, str]:
    if parameters.fn_cont:
        return {parameters.fn_cont: OPTIMISER_NODE}
    nodes = {parameters.fn_img: PARTICLES_NODE}
    if hasattr(parameters, "fn_mask"):  # jobs in 3D; a STAR file of several maps is no node of RELION's
        nodes |= {parameters.fn_ref: MAP_NODE} if not parameters.fn_ref.endswith(".star") else {}
        nodes |= {parameters.fn_mask: MASK_NODE} if parameters.fn_mask else {}
    return nodes
