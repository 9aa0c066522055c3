"""Precision and recall of picking against picks by hand and against the truth of simulated movies.

    python benchmarks/picking.py --micrographs DIR [--topaz_exe FILE] [--pictures DIR]

A pick is right within half a particle diameter of a particle that no other pick has. RELION's program and Topaz are compared where they
are there; scores of Topaz are cut at several values. Seconds are wall-clock times per micrograph of one core. Prints a Markdown table.
"""

import argparse
import dataclasses
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc, write_stack
from relion4plugin.files.star import read_star
from relion4plugin.preprocessing.picking.agreement import Agreement, agreement
from relion4plugin.preprocessing.picking.laplacian import BlobSettings, pick_blobs
from relion4plugin.preprocessing.picking.overlay import draw_overlay, write_picture
from relion4plugin.preprocessing.picking.picks import Picks, read_picks
from relion4plugin.preprocessing.picking.topaz import TopazSettings, pick_with_topaz, prepare
from relion4plugin.preprocessing.picking.topaz_program import find_topaz
from relion4plugin.progress import Silent
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import simulate_movies

TOPAZ_CUTS = (-3.0, -1.0, 0.0, 1.0)
QUIET = MovieSpec(
    n_movies=2, width=1536, height=1536, n_frames=8, dose_per_frame=4.0, n_particles=60, junk_fraction=0.0, drift=0.0, local_motion=0.0,
    odd_motion=0.0, gain_spread=0.0, hot_pixels=0.0, dead_pixels=0.0, file_format="mrc", bits=8, seed=4,
)  # fmt: skip
SIMULATED = {
    "simulated, clean": QUIET,
    "simulated, crowded": dataclasses.replace(QUIET, n_particles=0),
    "simulated, 30 % contaminants": dataclasses.replace(QUIET, junk_fraction=0.3),
    "simulated, edge of a hole": dataclasses.replace(QUIET, carbon_chance=1.0),
}


@dataclasses.dataclass(frozen=True)
class PickingSet:
    """Micrographs with known particles: name -> (image, truth); lengths in A."""

    name: str
    pixel_size: float
    smallest: float
    largest: float
    images: dict[str, tuple[np.ndarray, Picks]]


def real_sets(folder: Path) -> Iterator[PickingSet]:
    """Micrographs with picks by hand."""
    for name, pixel_size, smallest, largest in (
        ("apoferritin_empiar10146", 1.5, 110.0, 140.0),
        ("bgal_empiar10017_denoised", 7.08, 110.0, 180.0),
    ):
        images = {}
        for path in sorted((folder / name).glob("*_manualpick.star")):
            stem = path.name.removesuffix("_manualpick.star")
            images[stem] = (read_mrc(path.with_name(f"{stem}.mrc"))[0][0], read_picks(path))
        yield PickingSet(name, pixel_size, smallest, largest, images)


def simulated_sets() -> Iterator[PickingSet]:
    """Sums of simulated movies that do not move."""
    for name, spec in SIMULATED.items():
        with tempfile.TemporaryDirectory() as place:
            simulate_movies(spec, place, Silent())
            images = {}
            for path in sorted(Path(place).glob("Truth/*.star")):
                table = read_star(path)["particles"]
                movie = next(Path(place).rglob(Path(str(table["rlnMicrographMovieName"].iloc[0])).name))
                real = table[table["rlnSimulatedIsParticle"].astype(int) == 1]
                truth = Picks(*(real[f"rlnCoordinate{axis}"].to_numpy(float) for axis in "XY"), *np.zeros((2, len(real))))
                images[movie.stem] = (read_mrc(movie)[0].sum(axis=0), truth)
        yield PickingSet(name, spec.pixel_size, 120.0, 160.0, images)


def by_blobs(data: PickingSet) -> dict[str, Picks]:
    """Our Laplacian of Gaussian."""
    settings = BlobSettings(data.smallest, data.largest)
    return {name: pick_blobs(image, data.pixel_size, settings, name).picks for name, (image, _) in data.images.items()}


def by_relion(data: PickingSet) -> dict[str, Picks]:
    """RELION's Laplacian of Gaussian with its defaults."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (image, _) in data.images.items():
            write_stack(Path(folder) / f"{name}.mrc", image[None], data.pixel_size)
        words = ["relion_autopick", "--i", "*.mrc", "--odir", "P/", "--pickname", "autopick", "--angpix", f"{data.pixel_size:g}", "--LoG"]
        words += ["--LoG_diam_min", f"{data.smallest:g}", "--LoG_diam_max", f"{data.largest:g}", "--shrink", "0", "--lowpass", "20"]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
        return {name: read_picks(Path(folder) / "P" / f"{name}_autopick.star") for name in data.images}


def by_topaz(data: PickingSet, program: tuple[str, ...]) -> dict[str, Picks]:
    """Topaz with the network that comes with it."""
    settings = TopazSettings(program, (data.smallest + data.largest) / 2)
    ready = [prepare(image, data.pixel_size, settings, name) for name, (image, _) in data.images.items()]
    return dict(zip(data.images, pick_with_topaz(ready, settings), strict=True))


def judged(data: PickingSet, found: dict[str, Picks], least: float = -np.inf) -> Agreement:
    """Agreement over all micrographs of a set."""
    total, reach = Agreement(0, 0, 0), data.largest / 2 / data.pixel_size
    for name, (_, truth) in data.images.items():
        picks = found[name].chosen(found[name].score >= least)
        total += agreement(picks.centres, truth.centres, reach)
    return total


def row(data: PickingSet, method: str, found: Agreement, seconds: float) -> str:
    """One row of the table."""
    return (
        f"| {data.name} | {method} | {found.n_true} | {found.n_picks} | {found.recall:.3f} | {found.precision:.3f} | {found.f1:.3f} | "
        f"{seconds / len(data.images):.2f} |"
    )


def timed(method: Callable[[PickingSet], dict[str, Picks]], data: PickingSet) -> tuple[dict[str, Picks], float]:
    """Picks, and the seconds that they took."""
    start = time.perf_counter()
    found = method(data)
    return found, time.perf_counter() - start


def draw(folder: Path, data: PickingSet, method: str, found: dict[str, Picks], least: float = -np.inf) -> None:
    """A picture of the first micrograph of a set."""
    name, (image, truth) = next(iter(data.images.items()))
    picks = found[name].chosen(found[name].score >= least)
    picture = draw_overlay(image, data.pixel_size, picks, data.largest, truth, width=700)
    folder.mkdir(parents=True, exist_ok=True)
    label = data.name.split("_")[0].replace(", ", "_").replace(" ", "_").replace("%", "percent")
    write_picture(folder / f"picking_{label}_{method}.jpg", picture)


def compare(data: PickingSet, program: tuple[str, ...], pictures: Path | None) -> Iterator[str]:
    """Rows of the table for one set."""
    found, seconds = timed(by_blobs, data)
    yield row(data, "LoG, relion4plugin", judged(data, found), seconds)
    if pictures is not None:
        draw(pictures, data, "log", found)
    if shutil.which("relion_autopick"):
        theirs, seconds = timed(by_relion, data)
        yield row(data, "LoG, relion_autopick", judged(data, theirs), seconds)
    if program:
        learned, seconds = timed(lambda given: by_topaz(given, program), data)
        for cut in TOPAZ_CUTS:
            yield row(data, f"Topaz, score >= {cut:g}", judged(data, learned, cut), seconds)
        if pictures is not None:
            draw(pictures, data, "topaz", learned, 0.0)


def speed(size: int = 4096) -> str:
    """Seconds for one large micrograph."""
    image = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    start = time.perf_counter()
    pick_blobs(image, 1.0, BlobSettings(130.0, 170.0))
    return f"LoG on {size} x {size} px: {time.perf_counter() - start:.2f} s"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--micrographs", type=Path, help="folder with the folders of real micrographs")
    parser.add_argument("--no_simulation", action="store_true", help="real micrographs only")
    parser.add_argument("--topaz_exe", default="", help="program of Topaz")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of picks")
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        program = find_topaz(args.topaz_exe)
    except UserError as missing:
        program = ()
        print(f"without Topaz: {missing}\n")
    print("| micrographs | method | particles | picks | recall | precision | F1 | s per micrograph |\n|---|---|---|---|---|---|---|---|")
    for source in ([real_sets(args.micrographs)] if args.micrographs else []) + ([] if args.no_simulation else [simulated_sets()]):
        for data in source:
            for line in compare(data, program, args.pictures):
                print(line, flush=True)
    print(f"\n{speed()}")


if __name__ == "__main__":
    main()
