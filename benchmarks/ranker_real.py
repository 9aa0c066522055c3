"""Training jobs from real images: beta-galactosidase with the poses of a finished refinement.

Particles of EMPIAR-10204 that match a particle of the finished 3D refinement have its pose; the others are mostly bad picks. About
a quarter of the good ones have no match, so purities are divided by `MATCHED`. Picks without a pose are used nowhere: nothing says
how good their classes are.
"""

import gzip
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evaluation import particle_table
from ranker_jobs import TRAIN
from ranker_label import label_run

from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.particles import read_particles
from relion4plugin.ranker.samples import Samples
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.settings import RefinementSettings

MATCHED = 0.75  # of the good beta-galactosidase particles have a known pose
BGAL_MAP = "maps/bgal_empiar10204_reference_D2.mrc"
BGAL_FOLDER = "particles/bgal_empiar10204"
FINISHED: Mapping[str, str] = {  # runs of RELION on these particles
    "real_bgal_relion4": "class2d/bgal_relion4_vdam_k25/run_it200_optimiser.star",
    "real_bgal_relion5": "class2d/bgal_empiar10204_relion5_em/run_it025_optimiser.star",
}
CLASSIFIED: Mapping[str, RefinementSettings] = {
    "real_bgal_1": RefinementSettings(n_classes=25, n_iterations=60, particle_diameter=200.0, write_every=1000, seed=1),
    "real_bgal_2": RefinementSettings(n_classes=40, n_iterations=50, particle_diameter=190.0, tau2_fudge=4.0, write_every=1000, seed=2),
    "real_bgal_3": RefinementSettings(n_classes=15, n_iterations=20, particle_diameter=185.0, tau2_fudge=1.0, write_every=1000, seed=3),
    "real_bgal_4": RefinementSettings(
        n_classes=30, n_iterations=80, particle_diameter=190.0, strict_highres=12.0, write_every=1000, seed=4
    ),
}
REAL_JOBS = (*FINISHED, *CLASSIFIED)

Save = Callable[[Path, str, Samples, dict[str, Any]], None]


def make_real_job(name: str, data: Path, out: Path, keep: bool, save: Save) -> int:
    """Classify, label and save one of `REAL_JOBS`; returns the number of labelled classes."""
    work = out / "work" / name
    begin = time.process_time()
    try:
        work.mkdir(parents=True, exist_ok=True)
        optimiser, settings = _bgal_run(name, data, work)
        volume = read_mrc(data / BGAL_MAP)[0]
        samples, figures = label_run(optimiser, bgal_truth(data / BGAL_FOLDER), [volume], name, "bgal", known_share=MATCHED)
        record = {"split": TRAIN, "structure": "bgal", "classes": len(samples), **figures}
        record |= {"cpu_seconds": time.process_time() - begin, "settings": asdict(settings) if settings else {}}
        save(out, name, samples, record)
    finally:
        if not keep:
            shutil.rmtree(work, ignore_errors=True)
    return len(samples)


def bgal_truth(folder: Path) -> pd.DataFrame:
    """Truth of the beta-galactosidase particles: pose where there is one, kind "good" or "bad"."""
    every = particle_table(folder / "particles.star")[["rlnImageName"]]
    labels = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"]
    known = particle_table(folder / "particles_reference_poses.star").set_index("rlnImageName")[labels]
    table = every.join(known, on="rlnImageName")
    good = table["rlnAngleRot"].notna()
    return table.fillna(0.0).assign(rlnSimulatedKind=np.where(good, "good", "bad"), rlnSimulatedIsParticle=good.astype(int))


def _bgal_run(name: str, data: Path, work: Path) -> tuple[Path, RefinementSettings | None]:
    """Optimiser file of a run: a finished one, unpacked where need be, or our own."""
    if name in CLASSIFIED:
        settings = CLASSIFIED[name]
        return refine(settings, read_particles(data / BGAL_FOLDER / "particles.star"), work / "run").optimiser_star, settings
    source = data / FINISHED[name]
    stem = source.name.removesuffix("optimiser.star")
    for file in source.parent.glob(f"{stem}*"):
        if file.suffix == ".gz":
            (work / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        else:
            shutil.copyfile(file, work / file.name)
    return work / source.name, None
