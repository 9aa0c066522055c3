"""Motion correction of simulated movies with known motion, here and by RELION's own program.

    python benchmarks/motioncorr.py --out DIR [--sizes 2048 4096] [--frames 24] [--doses 1.0 0.5] [--figure docs/images/motioncorr.png]

Both programs correct the same movie with one thread. Errors are rms distances (px) from the true motion at a grid of places, at all
frames, after removing a constant: of whole frames as the mean over the places, and of the rest. Prints Markdown tables.
"""

import argparse
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measure import Cost, run_measured

from relion4plugin.files.motion_star import MotionRecord, read_motion
from relion4plugin.files.mrc import read_mrc
from relion4plugin.preprocessing.motion.model import LocalMotion
from relion4plugin.progress import Silent
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import prepare_session, simulate_movies

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLACES = np.stack(np.meshgrid(np.linspace(-0.4, 0.4, 9), np.linspace(-0.4, 0.4, 9)), axis=-1).reshape(-1, 2)
OPTIONS = ("--dose_per_frame", "{dose}", "--bfactor", "150", "--patch_x", "5", "--patch_y", "5", "--j", "1")
PROGRAMS = ("relion4plugin", "relion_run_motioncorr")


@dataclass(frozen=True)
class Result:
    """One program on one movie."""

    cost: Cost
    whole: float
    local: float
    record: MotionRecord
    image: np.ndarray


def command(program: str, dose: float, frames: int) -> list[str]:
    """Return the words that correct the movie of the current directory."""
    options = [word.format(dose=dose) for word in OPTIONS]
    spectrum = max(1, int(4 / dose + 0.5))
    if program == "relion4plugin":
        start = [sys.executable, str(Path(__file__).resolve()), "--correct"]
        return [*start, "--i", "movies.star", "--o", f"Out_{program}", *options, "--gainref", "gain.mrc", "--save_noDW", "--overwrite"]
    extra = ["--use_own", "--dose_weighting", "--save_noDW", "--gainref", "gain.mrc", "--grouping_for_ps", str(spectrum)]
    return [program, "--i", "movies.star", "--o", f"Out_{program}/", *options, *extra]


def correct(words: list[str]) -> int:
    """Run the command of this program."""
    from relion4plugin.cli import motioncorr

    parser = argparse.ArgumentParser()
    motioncorr.add_args(parser)
    return motioncorr.main(parser.parse_args([*words, "--quiet"]))


def field(record: MotionRecord) -> np.ndarray:
    """Return shifts at all places and frames, (places, frames, 2)."""
    model = np.zeros(36) if record.coefficients is None else record.coefficients
    local = LocalMotion.from_list(model).shifts(PLACES[:, :1], PLACES[:, 1:], np.arange(len(record.shifts))[None])
    return np.asarray(local + record.shifts)


def errors(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the rms errors of the mean over all places, and of the rest."""
    difference = found - truth
    difference = difference - difference.mean(axis=1, keepdims=True)
    whole = difference.mean(axis=0)
    local = difference - whole
    return tuple(float(np.sqrt(np.mean(np.sum(part**2, axis=-1)))) for part in (whole, local))  # type: ignore[return-value]


def shells(a: np.ndarray, b: np.ndarray, n: int = 32) -> np.ndarray:
    """Return the correlation of two images in `n` shells of frequency up to Nyquist."""
    window = np.outer(*(np.hanning(size) for size in a.shape))
    fa, fb = (np.fft.rfft2((image - image.mean()) * window) for image in (a, b))
    radius = np.hypot(np.fft.fftfreq(a.shape[0])[:, None], np.fft.rfftfreq(a.shape[1]))
    shell = np.minimum((radius * 2 * n).astype(int), n).ravel()
    cross, one, two = (np.bincount(shell, values.ravel(), n + 1)[:n] for values in ((fa * fb.conj()).real, abs(fa) ** 2, abs(fb) ** 2))
    return np.asarray(cross / np.sqrt(one * two))


def spec_of(size: int, frames: int, dose: float) -> MovieSpec:
    """Return what is simulated."""
    n_particles = int(50 * (size / 1024) ** 2)
    return MovieSpec(
        n_movies=1, width=size, height=size, n_frames=frames, pixel_size=1.0, dose_per_frame=dose, n_particles=n_particles, seed=7
    )


def run(place: Path, size: int, frames: int, dose: float, programs: list[str]) -> tuple[dict[str, Result], np.ndarray]:
    """Simulate a movie and correct it by each program; return results and the true shifts."""
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "movies.star").is_file():  # in a process of its own, as its memory would be counted for the others
        words = [sys.executable, str(Path(__file__).resolve()), "--simulate", str(place), str(size), str(frames), str(dose)]
        run_measured(words, place / "simulation.log")
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    costs = {program: run_measured(command(program, dose, frames), place / f"{program}.log", cwd=place) for program in programs}
    motion = prepare_session(spec_of(size, frames, dose)).plan(0).motion
    truth = -np.moveaxis(motion.at((PLACES + 0.5) * size), 0, 1)
    results = {}
    for program in programs:
        star = next(path for path in (place / f"Out_{program}").rglob("*.star") if path.parent.name != f"Out_{program}")
        record = read_motion(star)
        image = read_mrc(star.with_name(f"{star.stem}_noDW.mrc"))[0][0]
        results[program] = Result(costs[program], *errors(field(record), truth), record, image)
    return results, truth


def figure(results: dict[str, Result], truth: np.ndarray, path: Path) -> None:
    """Draw trajectories and sums of both programs side by side, and the correlation of the sums."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from scipy.ndimage import gaussian_filter

    shown, axes = plt.subplots(2, 3, figsize=(13, 9), constrained_layout=True)
    for column, (program, result) in enumerate(results.items()):
        trajectories(axes[0, column], field(result.record), truth, f"C{column}")
        axes[0, column].set_title(f"{program}: error {result.whole:.2f} px whole, {result.local:.2f} px local", fontsize=10)
        middle = tuple(slice(size // 2 - 256, size // 2 + 256) for size in result.image.shape)
        axes[1, column].imshow(gaussian_filter(result.image[middle], 2), cmap="gray", origin="lower")
        axes[1, column].set_title("middle of the sum, smoothed", fontsize=10)
        for axis in axes[:, column]:
            axis.set_xticks([])
            axis.set_yticks([])
    axes[1, 2].axis("off")
    images = [result.image for result in results.values()]
    if len(images) == 2:
        axes[0, 2].plot(np.linspace(0, 0.5, 32), shells(*images))
        axes[0, 2].set_title("correlation of both sums", fontsize=10)
        axes[0, 2].set_xlabel("frequency (1/px)")
        axes[0, 2].set_ylim(0, 1.02)
    shown.savefig(path, dpi=80)


def trajectories(axis: "Axes", found: np.ndarray, truth: np.ndarray, colour: str) -> None:
    """Draw the way of every second place, a px of motion as long as 1 % of the frame."""
    for place in (9 * row + column for row in range(0, 9, 2) for column in range(0, 9, 2)):
        for line, shade, width, label in ((truth, "0.7", 4, "truth"), (found, colour, 1.2, "found")):
            way = 100 * (PLACES[place] + 0.5) + line[place] - line[place].mean(axis=0)
            axis.plot(*way.T, color=shade, linewidth=width, label=label if place == 0 else None)
    axis.set_aspect("equal")
    axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2)


def main() -> None:
    if "--correct" in sys.argv:
        raise SystemExit(correct(sys.argv[sys.argv.index("--correct") + 1 :]))
    if "--simulate" in sys.argv:
        place, size, frames, dose = sys.argv[2:]
        simulate_movies(spec_of(int(size), int(frames), float(dose)), place, Silent())
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048])
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--doses", type=float, nargs="+", default=[1.0])
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    programs = [name for name in PROGRAMS if name == "relion4plugin" or shutil.which(name)]
    print("| size | e/px/frame | program | whole, px | local, px | CPU s | wall s | peak MiB |\n|---|---|---|---|---|---|---|---|")
    for size in args.sizes:
        for dose in args.doses:
            place = args.out / f"{size}_{args.frames}_{dose:g}"
            results, truth = run(place, size, args.frames, dose, programs)
            for program, result in results.items():
                cost = result.cost
                figures = (
                    f"{result.whole:.3f} | {result.local:.3f} | {cost.cpu_seconds:.1f} | {cost.wall_seconds:.1f} | {cost.peak_rss_mib:.0f}"
                )
                print(f"| {size} x {size} x {args.frames} | {dose:g} | {program} | {figures} |", flush=True)
            if len(results) == 2:
                alike = shells(*(result.image for result in results.values())).reshape(8, 4).mean(axis=1)
                print(f"\ncorrelation of both sums in 8 shells up to Nyquist: {json.dumps(alike.round(3).tolist())}\n")
            if args.figure:
                figure(results, truth, args.figure)


if __name__ == "__main__":
    main()
