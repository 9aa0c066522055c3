"""Precision and recall of picking by class averages, of this program and of relion_autopick.

    python benchmarks/picking_references.py --micrographs DIR

Class averages are made from the known particles of two micrographs (extraction, then 2D classification with three classes), and picking is
judged on the others of the set. A pick is right within half a particle diameter of a particle that no other pick has. Thresholds are the
default one and the one with the best F1 of each program. Prints a Markdown table.
"""

import argparse
import dataclasses
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from picking import SIMULATED

from relion4plugin.files.coordinates import write_coordinate_list
from relion4plugin.files.mrc import read_mrc, write_stack
from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs import autopick_ref, class2d, extract
from relion4plugin.jobs.autopick_parameters import RefPickParameters
from relion4plugin.jobs.class2d_parameters import Class2DParameters
from relion4plugin.jobs.extract_parameters import ExtractParameters
from relion4plugin.preprocessing.picking.agreement import Agreement, agreement
from relion4plugin.preprocessing.picking.picks import Picks, make_picks, read_picks, write_picks
from relion4plugin.progress import Silent
from relion4plugin.simulation.movies import simulate_movies

N_TRAINING = 2
PIXEL, BOX, SCALED, DISTANCE = 1.5, 128, 64, 100.0  # of all sets: A, px, px, A
OPTICS = {"rlnVoltage": 300.0, "rlnSphericalAberration": 2.7, "rlnMicrographPixelSize": PIXEL, "rlnMicrographOriginalPixelSize": PIXEL}
DEFOCUS = ["rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"]
CUTS = np.round(np.arange(0.0, 2.0, 0.05), 2)


@dataclasses.dataclass(frozen=True)
class Project:
    """Micrographs with known particles in the current folder: name, picks, row of the CTF table; amplitude contrast; diameter in A."""

    name: str
    micrographs: dict[str, Picks]
    ctfs: pd.DataFrame
    amplitude_contrast: float
    diameter: float


def real_project(folder: Path) -> Project:
    """Apoferritin with picks by hand."""
    table = read_star(folder / "micrographs_ctf.star")["micrographs"]
    picks = {}
    for name in table["rlnMicrographName"]:
        Path(name).symlink_to((folder / name).absolute())
        picks[name] = read_picks(folder / f"{Path(name).stem}_manualpick.star")
    return Project("apoferritin", picks, table[["rlnMicrographName", *DEFOCUS]], 0.07, 140.0)


def simulated_project(name: str) -> Project:
    """Sums of simulated movies that do not move."""
    spec = dataclasses.replace(SIMULATED[name], n_movies=2 * N_TRAINING)
    simulate_movies(spec, "simulated", Silent())
    picks, rows = {}, []
    for path in sorted(Path("simulated/Truth").glob("movie*.star")):
        blocks = read_star(path)
        real = blocks["particles"][blocks["particles"]["rlnSimulatedIsParticle"].astype(int) == 1]
        micrograph = f"{path.stem}.mrc"
        frames = read_mrc(Path("simulated") / str(blocks["general"]["rlnMicrographMovieName"]))[0]
        write_stack(micrograph, frames.sum(axis=0)[None], spec.pixel_size)
        x, y = (real[f"rlnCoordinate{axis}"].to_numpy(float) for axis in "XY")
        picks[micrograph] = make_picks(x, y, np.zeros(len(real)))
        rows.append({"rlnMicrographName": micrograph, **{label: blocks["general"][label] for label in DEFOCUS}})
    return Project(name, picks, pd.DataFrame(rows), spec.amplitude_contrast, 160.0)


def write_micrographs(project: Project, path: str, names: Sequence[str]) -> None:
    """Write the STAR file of some micrographs."""
    optics = {"rlnOpticsGroupName": "opticsGroup1", "rlnOpticsGroup": 1, **OPTICS, "rlnAmplitudeContrast": project.amplitude_contrast}
    table = project.ctfs[project.ctfs["rlnMicrographName"].isin(names)].assign(rlnOpticsGroup=1)
    write_star(path, {"optics": pd.DataFrame([optics]), "micrographs": table})


def make_references(project: Project) -> str:
    """Classify the particles of the training micrographs; return the stack of class averages."""
    names = list(project.micrographs)[:N_TRAINING]
    write_micrographs(project, "training.star", names)
    files = [f"{Path(name).stem}_known.star" for name in names]
    for name, file in zip(names, files, strict=True):
        write_picks(Path(file), project.micrographs[name])
    write_coordinate_list("known.star", names, files)
    given = ExtractParameters(star_mics="training.star", coords_suffix="known.star", extract_size=BOX, do_rescale=True, rescale=SCALED)
    extract.run(given, Path("Extract/job001"), Silent())
    options = Class2DParameters(
        fn_img="Extract/job001/particles.star", nr_classes=3, nr_iter_grad=40, particle_diameter=project.diameter + 20.0
    )
    class2d.run(options, Path("Class2D/job002"), Silent())
    return max(Path("Class2D/job002").glob("run_it*_classes.mrcs")).as_posix()


def by_us(references: str) -> Path:
    """Pick with this program; thresholds are applied later."""
    given = RefPickParameters(
        fn_input_autopick="test.star", fn_refs_autopick=references, angpix_ref=PIXEL * BOX / SCALED, threshold_autopick=0.0,
        mindist_autopick=DISTANCE,
    )  # fmt: skip
    autopick_ref.run(given, Path("Ours"), Silent())
    return Path("Ours")


def by_relion(references: str) -> Path:
    """Pick with RELION's program."""
    words = ["relion_autopick", "--i", "test.star", "--odir", "Theirs/", "--pickname", "autopick", "--ref", references, "--invert", "--ctf"]
    words += ["--ang", "5", "--shrink", "0", "--lowpass", "20", "--angpix", f"{PIXEL:g}", "--angpix_ref", f"{PIXEL * BOX / SCALED:g}"]
    words += ["--threshold", "0", "--min_distance", f"{DISTANCE:g}", "--max_stddev_noise", "1.1"]
    subprocess.run(words, check=True, capture_output=True)
    return Path("Theirs")


def judged(project: Project, names: Sequence[str], place: Path, cut: float) -> Agreement:
    """Agreement over the test micrographs."""
    total = Agreement(0, 0, 0)
    for name in names:
        picks = read_picks(place / f"{Path(name).stem}_autopick.star")
        total += agreement(picks.chosen(picks.score >= cut).centres, project.micrographs[name].centres, project.diameter / 2 / PIXEL)
    return total


def rows(project: Project) -> Iterator[str]:
    """Rows of the table for one set."""
    names = list(project.micrographs)[N_TRAINING:]
    write_micrographs(project, "test.star", names)
    references = make_references(project)
    for method, pick in (("relion4plugin", by_us), ("relion_autopick", by_relion)):
        if pick is by_relion and shutil.which("relion_autopick") is None:
            continue
        start = time.perf_counter()
        place = pick(references)
        seconds = (time.perf_counter() - start) / len(names)
        best = max(CUTS, key=lambda cut: judged(project, names, place, cut).f1)
        for cut in (0.05, best):
            found = judged(project, names, place, cut)
            figures = f"{found.recall:.3f} | {found.precision:.3f} | {found.f1:.3f} | {seconds:.2f}"
            yield f"| {project.name} | {method} | {cut:g} | {found.n_true} | {found.n_picks} | {figures} |"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--micrographs", type=Path, help="folder with the folder apoferritin_empiar10146")
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    real = args.micrographs.absolute() / "apoferritin_empiar10146" if args.micrographs else None
    print("| micrographs | program | threshold | particles | picks | recall | precision | F1 | s per micrograph |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in (*([""] if real else []), *SIMULATED):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            project = simulated_project(name) if real is None or name else real_project(real)
            for row in rows(project):
                print(row, flush=True)
            os.chdir("/")


if __name__ == "__main__":
    main()
