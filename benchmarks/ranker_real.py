"""Training jobs from real images: beta-galactosidase with the poses of a finished refinement.

Particles of EMPIAR-10204 that match a particle of the finished 3D refinement have its pose; the others are mostly bad picks. About
a quarter of the good ones have no match, so purities are divided by `MATCHED`. Picks without a pose are used nowhere: nothing says
how good their classes are.

Two jobs also hold crops of other real micrographs, as a picker brings them that fires on anything: ice between the densely packed
particles of EMPIAR-10146, and contaminants.
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
from scipy.spatial import KDTree

from relion4plugin.files.mrc import read_header, read_mrc, write_stack
from relion4plugin.files.particles import make_particles, read_particles, write_particles
from relion4plugin.preprocessing.extraction.boxes import map_micrograph
from relion4plugin.preprocessing.extraction.extract import ExtractionSettings, extract
from relion4plugin.preprocessing.picking.picks import read_picks
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
WITH_CROPS: Mapping[str, RefinementSettings] = {
    "real_bgal_crops_1": RefinementSettings(n_classes=40, n_iterations=100, particle_diameter=200.0, write_every=1000, seed=5),
    "real_bgal_crops_2": RefinementSettings(n_classes=25, n_iterations=50, particle_diameter=210.0, write_every=1000, seed=6),
}
REAL_JOBS = (*FINISHED, *CLASSIFIED, *WITH_CROPS)
CROPPED = "bad_crop"  # kind of particle
BETWEEN, BETWEEN_PIXEL, BETWEEN_BOX = Path("micrographs/apoferritin_empiar10146"), 1.5, 150  # A per px, px; as large as a particle's box
CLEAR = 115.0  # A, from the next centre of a particle: it lies outside of the crop
CONTAMINATED = Path("micrographs/ucsf_stack_1142/Ucsf_stack_1142_DW.mrc")
DIRTY = 50.0  # of the mask's 0 to 100, in the middle of a crop
STEP = 16  # px, between neighbouring crops
MOST = 500  # crops of a kind

Save = Callable[[Path, str, Samples, dict[str, Any]], None]


def make_real_job(name: str, data: Path, out: Path, keep: bool, save: Save) -> int:
    """Classify, label and save one of `REAL_JOBS`; returns the number of labelled classes."""
    work = out / "work" / name
    begin = time.process_time()
    try:
        work.mkdir(parents=True, exist_ok=True)
        optimiser, settings = _bgal_run(name, data, work)
        volume = read_mrc(data / BGAL_MAP)[0]
        n_crops = read_header(work / "crops.mrcs").nz if name in WITH_CROPS else 0
        samples, figures = label_run(optimiser, bgal_truth(data / BGAL_FOLDER, n_crops), [volume], name, "bgal", known_share=MATCHED)
        record = {"split": TRAIN, "structure": "bgal", "classes": len(samples), **figures}
        record |= {"cpu_seconds": time.process_time() - begin, "settings": asdict(settings) if settings else {}}
        save(out, name, samples, record)
    finally:
        if not keep:
            shutil.rmtree(work, ignore_errors=True)
    return len(samples)


def bgal_truth(folder: Path, n_crops: int = 0) -> pd.DataFrame:
    """Truth of the beta-galactosidase particles: pose where there is one, kind "good" or "bad"; and of crops, which show no particle."""
    every = particle_table(folder / "particles.star")[["rlnImageName"]]
    labels = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"]
    known = particle_table(folder / "particles_reference_poses.star").set_index("rlnImageName")[labels]
    table = every.join(known, on="rlnImageName")
    good = table["rlnAngleRot"].notna()
    truth = table.fillna(0.0).assign(rlnSimulatedKind=np.where(good, "good", "bad"), rlnSimulatedIsParticle=good.astype(int))
    crops = pd.DataFrame({"rlnImageName": [f"{i + 1:06d}@crops.mrcs" for i in range(n_crops)]})
    crops = crops.assign(rlnSimulatedKind=CROPPED, rlnSimulatedIsParticle=0, **dict.fromkeys(labels, 0.0))
    return pd.concat([truth, crops[truth.columns]], ignore_index=True)


def with_crops(data: Path, out: Path) -> Path:
    """Write the beta-galactosidase particles and crops of other micrographs as one STAR file; returns its path.

    Crops are made as particles are: scaled, normalised, protein white. Each has the CTF of some particle.
    """
    particles = read_particles(data / BGAL_FOLDER / "particles.star")
    size = int(particles.optics_table["rlnImageSize"].iloc[0])
    images = np.concatenate([*crops_between(data / BETWEEN, size), *crops_of_dirt(data / CONTAMINATED, size)])
    stack = out / "crops.mrcs"
    write_stack(stack, images, float(particles.optics_table["rlnImagePixelSize"].iloc[0]))
    rng = np.random.default_rng(0)
    added = particles.table.iloc[rng.integers(0, len(particles), len(images))].copy()
    added["rlnImageName"] = [f"{i + 1:06d}@{stack.resolve()}" for i in range(len(images))]
    added["rlnMicrographName"] = stack.name
    known = particles.table.copy()
    place = known["rlnImageName"].str.split("@", n=1, expand=True)
    known["rlnImageName"] = place[0] + "@" + str((data / BGAL_FOLDER).resolve()) + "/" + place[1].str.rsplit("/", n=1).str[-1]
    star = out / "particles.star"
    write_particles(star, make_particles(pd.concat([known, added], ignore_index=True), particles.optics_table, star))
    return star


def crops_between(folder: Path, size: int) -> list[np.ndarray]:
    """Crops (n, size, size) of each micrograph that lie between its picked particles."""
    found = []
    for path in sorted(folder.glob("*.mrc")):
        micrograph, picks = map_micrograph(path), read_picks(path.with_name(f"{path.stem}_manualpick.star"))
        centres = _grid(micrograph.shape, BETWEEN_BOX)
        distance, _ = KDTree(np.stack([picks.x, picks.y], axis=1)).query(centres)
        found.append(_cut(micrograph, centres[distance * BETWEEN_PIXEL >= CLEAR], BETWEEN_BOX, size, MOST // 5))
    return found


def crops_of_dirt(path: Path, size: int) -> list[np.ndarray]:
    """Crops (n, size, size) on contaminants, by the mask that belongs to the micrograph."""
    micrograph, mask = map_micrograph(path), map_micrograph(path.with_name(f"{path.stem}_contamination_mask.mrc"))
    centres = _grid(micrograph.shape, size)
    return [_cut(micrograph, centres[mask[tuple(centres[:, ::-1].T)] >= DIRTY], size, size, MOST)]


def _grid(shape: tuple[int, ...], box: int) -> np.ndarray:
    """Centres (n, 2), x and y, of boxes that lie inside."""
    y, x = (np.arange(box // 2, n - box // 2, STEP) for n in shape[-2:])
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _cut(micrograph: np.ndarray, centres: np.ndarray, box: int, size: int, most: int) -> np.ndarray:
    chosen = np.random.default_rng(1).permutation(len(centres))[:most]
    settings = ExtractionSettings(box, size, background_radius=0.375 * size, invert=True)
    return extract(micrograph, *centres[np.sort(chosen)].T, settings).images


def _bgal_run(name: str, data: Path, work: Path) -> tuple[Path, RefinementSettings | None]:
    """Optimiser file of a run: a finished one, unpacked where need be, or our own."""
    if name in WITH_CROPS:
        settings = WITH_CROPS[name]
        return refine(settings, read_particles(with_crops(data, work)), work / "run").optimiser_star, settings
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
