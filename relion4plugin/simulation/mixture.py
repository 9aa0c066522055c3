"""A simulated mixture of particles and junk on disk, with the truth about every image."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from relion4plugin.files.mrc import StackWriter, write_volume
from relion4plugin.files.star import write_star
from relion4plugin.progress import Progress
from relion4plugin.simulation.mixture_images import ROWS_AT_ONCE, prepare_mixture_images
from relion4plugin.simulation.mixture_maps import make_maps
from relion4plugin.simulation.mixture_plan import MixturePlan, make_mixture_plan
from relion4plugin.simulation.mixture_spec import PARTICLE_KINDS, MixtureSpec
from relion4plugin.simulation.particles import make_output_folder
from relion4plugin.simulation.tables import extracted_table, optics_table, pose_columns

if TYPE_CHECKING:
    import pandas as pd

STACK = "Particles/mixture.mrcs"


@dataclass(frozen=True)
class MixtureResult:
    """Files of a simulated mixture."""

    particles_star: Path  # as from extraction: no poses, no kinds
    truth_star: Path  # the same rows with poses and the rlnSimulated columns
    map_paths: tuple[Path, ...]  # densities of the sources, in units of the noise standard deviation per voxel
    diameters: tuple[float, ...]  # A, of the sphere that holds each


def simulate_mixture(spec: MixtureSpec, out_dir: Path | str, progress: Progress) -> MixtureResult:
    """Simulate a stack of particles and junk of known kinds.

    Each image is ``CTF * (c * projection + neighbours + structure of the ice) + shot noise``. As in extraction a plane is fitted
    outside a circle of 0.75 box and subtracted, and the image is divided by the standard deviation there; protein is white. The
    same spec gives the same files.

    Parameters
    ----------
    spec : MixtureSpec
        What is asked for.
    out_dir : path
        Folder to write into; made if need be. Image names in the STAR files are relative to it.
    progress : Progress
        Told of every chunk.

    Returns
    -------
    MixtureResult

    Raises
    ------
    UserError
        If the spec is not valid, a source cannot be used, or the folder cannot be written.
    """
    spec.validate()
    maps = make_maps(spec)
    out = make_output_folder(out_dir)
    plan = make_mixture_plan(spec, maps)
    maker = prepare_mixture_images(spec, plan, maps)
    paths = tuple(out / f"map{number:03d}.mrc" for number in range(1, maps.n_maps + 1))
    for path, volume, gain in zip(paths, maps.volumes[: maps.n_maps], maker.gains[: maps.n_maps], strict=True):
        write_volume(path, volume * np.float32(gain), spec.pixel_size)
    progress.start("simulating particles", len(plan))
    with StackWriter(out / STACK, len(plan), spec.box_size, spec.pixel_size) as stack:
        for first in range(0, len(plan), ROWS_AT_ONCE):
            images = maker.make(first, min(ROWS_AT_ONCE, len(plan) - first))
            stack.append(images)
            progress.advance(len(images))
    progress.finish()
    optics = optics_table(spec, 1)
    extracted, truth = _particle_tables(spec, plan)
    result = MixtureResult(out / "particles.star", out / "truth.star", paths, maps.diameters)
    write_star(result.particles_star, {"optics": optics, "particles": extracted})
    write_star(result.truth_star, {"optics": optics, "particles": truth})
    return result


def _particle_tables(spec: MixtureSpec, plan: MixturePlan) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Tables without and with the truth."""
    names = [f"{number:06d}@{STACK}" for number in range(1, len(plan) + 1)]
    believed = 1.0 + spec.defocus_error
    ctf = replace(plan.ctf, defocus_u=(believed * plan.ctf.defocus_u).round(2), defocus_v=(believed * plan.ctf.defocus_v).round(2))
    extracted = extracted_table(names, plan.coordinates, plan.micrograph, np.ones(len(plan), np.int64), ctf)
    truth = extracted.assign(
        **pose_columns(plan.angles, plan.places, spec.pixel_size),
        rlnSimulatedKind=plan.kinds,
        rlnSimulatedMap=plan.map_number,
        rlnSimulatedIsParticle=np.isin(plan.kinds, PARTICLE_KINDS).astype(int),
        rlnSimulatedNeighbours=plan.neighbours,
        rlnSimulatedContrast=plan.contrast,
        rlnSimulatedDefocusU=plan.ctf.defocus_u,
        rlnSimulatedDefocusV=plan.ctf.defocus_v,
    )
    return extracted, truth
