"""A simulated data set on disk: stacks by micrograph, the particles as from extraction, and the truth beside them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import StackWriter, write_volume
from relion4plugin.files.star import write_star
from relion4plugin.progress import Progress
from relion4plugin.simulation.density import make_density
from relion4plugin.simulation.images import ImageMaker, prepare_images
from relion4plugin.simulation.noise import BLOCK
from relion4plugin.simulation.plan import Plan, make_plan
from relion4plugin.simulation.spec import NEIGHBOUR, PARTICLE, SimulationSpec
from relion4plugin.simulation.tables import extracted_table, optics_table, pose_columns

if TYPE_CHECKING:
    import pandas as pd

CHUNK_BYTES = 8 << 20  # of one float32 array of a chunk; about ten such arrays are alive at once


@dataclass(frozen=True)
class SimulationResult:
    """Files of a simulated data set."""

    particles_star: Path  # as from extraction: no poses
    truth_star: Path  # the same rows with poses, kinds and views
    map_path: Path  # the density, in units of the noise standard deviation per voxel
    diameter: float  # A, of the particle disc


def simulate(spec: SimulationSpec, out_dir: Path | str, progress: Progress, chunk_bytes: int = CHUNK_BYTES) -> SimulationResult:
    """Simulate a particle data set.

    Each image is ``CTF * projection + noise``, normalised outside a circle of 0.75 box, protein white. The same spec gives the
    same files whatever `chunk_bytes`.

    Parameters
    ----------
    spec : SimulationSpec
        What is asked for.
    out_dir : path
        Folder to write into; made if need be. Image names in the STAR files are relative to it.
    progress : Progress
        Told of every chunk.
    chunk_bytes : int
        Size of the image arrays held at once.

    Returns
    -------
    SimulationResult

    Raises
    ------
    UserError
        If the spec is not valid, its source cannot be used, or the folder cannot be written.
    """
    spec.validate()
    out = make_output_folder(out_dir)
    density = make_density(spec)
    plan = make_plan(spec, density.diameter)
    maker = prepare_images(spec, plan, density.volume, density.diameter)
    result = SimulationResult(out / "particles.star", out / "truth.star", out / "map.mrc", density.diameter)
    write_volume(result.map_path, density.volume * np.float32(maker.gain), spec.pixel_size)
    progress.start("simulating particles", spec.n_particles)
    rows_at_once = max(1, chunk_bytes // (4 * spec.box_size**2 * BLOCK)) * BLOCK
    for micrograph in range(spec.micrographs):
        _write_micrograph(out / stack_name(micrograph), maker, micrograph, rows_at_once, progress)
    progress.finish()
    optics = optics_table(spec, spec.n_optics_groups)
    extracted, truth = _particle_tables(spec, plan)
    write_star(result.particles_star, {"optics": optics, "particles": extracted})
    write_star(result.truth_star, {"optics": optics, "particles": truth})
    return result


def make_output_folder(out_dir: Path | str) -> Path:
    """Make the folder of a simulated data set, with one for its stacks in it.

    Raises
    ------
    UserError
        If it cannot be made.
    """
    out = Path(out_dir)
    try:
        (out / "Particles").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {out / 'Particles'} ({error.strerror}); choose another output folder") from error
    return out


def stack_name(micrograph: int) -> str:
    """Stack of a micrograph, relative to the output folder."""
    return f"Particles/mic{micrograph + 1:05d}.mrcs"


def _write_micrograph(path: Path, maker: ImageMaker, micrograph: int, rows_at_once: int, progress: Progress) -> None:
    first, end = np.searchsorted(maker.plan.micrograph, [micrograph, micrograph + 1])
    chunks = (maker.make(start, min(rows_at_once, int(end) - start)) for start in range(int(first), int(end), rows_at_once))
    spec = maker.spec
    with StackWriter(path, int(end - first), spec.box_size, spec.pixel_size, mode=12 if spec.float16 else 2) as stack:
        for images in chunks:
            stack.append(images)
            progress.advance(len(images))


def _particle_tables(spec: SimulationSpec, plan: Plan) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Tables without and with the truth."""
    slices = np.arange(len(plan)) - np.searchsorted(plan.micrograph, plan.micrograph) + 1
    names = [f"{s:06d}@{stack_name(m)}" for s, m in zip(slices, plan.micrograph, strict=True)]
    extracted = extracted_table(names, plan.coordinates, plan.micrograph, plan.optics_group, plan.ctf)
    truth = extracted.assign(
        **pose_columns(plan.angles, plan.places, spec.pixel_size),
        rlnSimulatedKind=plan.kinds,
        rlnSimulatedView=plan.views,
        rlnSimulatedIsParticle=np.isin(plan.kinds, (PARTICLE, NEIGHBOUR)).astype(int),
    )
    return extracted, truth
