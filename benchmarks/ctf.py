"""CTF estimation against known values: real power spectra and micrographs, simulated movies, time and memory.

    python benchmarks/ctf.py real --data DIR --figures docs/images
    python benchmarks/ctf.py movies
    python benchmarks/ctf.py cost

DIR holds `bgal_empiar10204_power_spectra` (with values of CTFFIND 4.1) and `apoferritin_empiar10146` (with values of an independent
fit). Prints Markdown tables. Times are CPU seconds of one core: set OPENBLAS_NUM_THREADS and OMP_NUM_THREADS to 1.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import RSS_UNIT

from relion4plugin.files.mrc import read_mrc
from relion4plugin.jobs.star_rows import read_rows
from relion4plugin.preprocessing.ctf.estimate import CtfFit, estimate_ctf
from relion4plugin.preprocessing.ctf.picture import diagnostic_picture
from relion4plugin.preprocessing.ctf.rings import Microscope
from relion4plugin.preprocessing.ctf.search import SearchRange
from relion4plugin.preprocessing.ctf.spectrum import PowerSpectrum, given_spectrum, micrograph_spectrum
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import MovieSession, prepare_session

BOX, RESMIN, RESMAX = 512, 30.0, 5.0
REAL_HEAD = "| image | defocus U, V (A) | angle | difference of U, V (A) | of angle | score (theirs) | rings to, A (theirs) | s |"
MOVIE_HEAD = "| movies | U, V: rms, largest (A) | angle: rms, largest | phase shift: rms | median score | median rings to (A) |"
# What differs from 1 e/px/frame, 300 A of astigmatism and particles in thin ice.
CASES: dict[str, dict[str, Any]] = {
    "1 e/px/frame, 24 frames": {},
    "edge of a hole in carbon, 0.1 % hot pixels": {"carbon_chance": 1.0, "hot_pixels": 1e-3},
    "phase plate, 60 degrees": {"phase_shift": 60.0},
    "200 kV": {"voltage": 200.0},
    "8 frames": {"n_frames": 8},
}


def real_cases(data: Path) -> Iterator[tuple[dict[Any, Any], PowerSpectrum, Microscope]]:
    """Yield reference row, spectrum and microscope of each real image."""
    folder = data / "bgal_empiar10204_power_spectra"
    for row in read_rows(str(folder / "micrographs_ctf_reference.star"), "reference", "--data").rows.to_dict("records"):
        yield row, given_spectrum(folder / row["rlnCtfPowerSpectrum"]), Microscope(200.0, 1.4, 0.1)
    folder = data / "apoferritin_empiar10146"
    for row in read_rows(str(folder / "micrographs_ctf.star"), "reference", "--data").rows.to_dict("records"):
        image = read_mrc(folder / row["rlnMicrographName"])[0][0]
        yield row, micrograph_spectrum(image, 1.5, BOX), Microscope(300.0, 2.7, 0.07)


def angle_difference(a: float, b: float) -> float:
    """Difference of two axes in degrees, from -90 to 90."""
    return (a - b + 90.0) % 180.0 - 90.0


def compare_real(data: Path, figures: Path | None) -> None:
    """Print the table of real images and draw the figures."""
    print(f"{REAL_HEAD}\n{'|---' * 8}|")
    pairs = []
    for row, spectrum, microscope in real_cases(data):
        started = time.process_time()
        fit = estimate_ctf(spectrum, microscope, SearchRange(), RESMIN, RESMAX)
        seconds, e = time.process_time() - started, fit.estimate
        theirs = f"{row['rlnCtfMaxResolution']:.2f}" if "rlnCtfMaxResolution" in row else "-"
        print(
            f"| {Path(row['rlnMicrographName']).stem} | {e.defocus_u:.0f}, {e.defocus_v:.0f} | {e.defocus_angle:.1f} "
            f"| {e.defocus_u - row['rlnDefocusU']:+.0f}, {e.defocus_v - row['rlnDefocusV']:+.0f} "
            f"| {angle_difference(e.defocus_angle, row['rlnDefocusAngle']):+.1f} "
            f"| {e.figure_of_merit:.2f} ({row['rlnCtfFigureOfMerit']:.2f}) | {e.max_resolution:.2f} ({theirs}) | {seconds:.2f} |"
        )
        pairs.append((row, spectrum, microscope, fit))
    if figures is not None:
        draw(pairs, figures)


def draw(pairs: list[tuple[dict[Any, Any], PowerSpectrum, Microscope, CtfFit]], figures: Path) -> None:
    """Write a plot of defocus against the reference, one profile, and two diagnostic pictures."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    for name, label in (("2017", "beta-galactosidase, CTFFIND 4.1"), ("May", "apoferritin, independent fit")):
        chosen = [(row, fit.estimate) for row, _, _, fit in pairs if Path(row["rlnMicrographName"]).name.startswith(name)]
        for axis, marker in (("U", "o"), ("V", "x")):
            reference = [row[f"rlnDefocus{axis}"] for row, _ in chosen]
            found = [getattr(e, f"defocus_{axis.lower()}") for _, e in chosen]
            left.plot(reference, np.subtract(found, reference), marker, label=f"{label}, {axis}")
    left.axhline(0, color="grey", linewidth=0.8)
    left.set(xlabel="defocus of the reference (A)", ylabel="difference (A)", ylim=(-200, 200), title="Real images")
    left.legend(fontsize=8)
    row, _, _, fit = pairs[2]
    profile, shown = fit.profile, fit.profile.frequency > 1 / 20
    measured = profile.measured[shown]
    trend = np.polyval(np.polyfit(profile.frequency[shown], np.log(measured), 5), profile.frequency[shown])
    flat = measured / np.exp(trend) - 1
    right.plot(profile.frequency[shown], 0.5 + flat / (4 * flat.std()), label="measured, equal-phase average")
    right.plot(profile.frequency[shown], profile.squared_ctf[shown], linewidth=0.8, label="squared CTF")
    right.plot(profile.frequency[shown], profile.agreement[shown], linewidth=0.8, label="local correlation")
    right.axvline(1 / fit.estimate.max_resolution, color="grey", linestyle="--")
    right.set(xlabel="frequency (1/A)", ylim=(-0.6, 1.6), title=Path(row["rlnMicrographName"]).stem)
    right.legend(fontsize=8, loc="lower left")
    figure.tight_layout()
    figure.savefig(figures / "ctf_real.png", dpi=80)
    pictures = [diagnostic_picture(s, f.row, m, f.profile, f.estimate.max_resolution) for _, s, m, f in (pairs[2], pairs[9])]
    # Rows of a picture go up, those of an image file go down.
    plt.imsave(figures / "ctf_diagnostic.png", np.concatenate(pictures, axis=1)[::-1], cmap="gray", vmin=0, vmax=1)


def summed(session: MovieSession, index: int) -> np.ndarray:
    """Sum of the frames of a movie that does not move, times the gain reference."""
    total = np.zeros((session.spec.height, session.spec.width), dtype=np.float32)
    for frame in session.frames(session.plan(index)).frames():
        total += frame
    return total * session.camera.gain


def compare_movies(n_movies: int, size: int) -> None:
    """Print the errors for simulated movies."""
    print(f"{MOVIE_HEAD}\n{'|---' * 6}|")
    for name, changes in CASES.items():
        settings: dict[str, Any] = {"n_frames": 24, "astigmatism": 300.0, "drift": 0.0, "local_motion": 0.0, "odd_motion": 0.0, **changes}
        spec = MovieSpec(n_movies=n_movies, width=size, height=size, pixel_size=1.0, **settings)
        session = prepare_session(spec)
        microscope = Microscope(spec.voltage, spec.spherical_aberration, spec.amplitude_contrast)
        where = SearchRange(phases=(0.0, 180.0, 10.0) if spec.phase_shift else None)
        errors, angles, phases, scores, rings = [], [], [], [], []
        for index in range(n_movies):
            truth = session.plan(index).ctf
            e = estimate_ctf(micrograph_spectrum(summed(session, index), 1.0, BOX), microscope, where, RESMIN, RESMAX).estimate
            errors += [e.defocus_u - float(truth.defocus_u[0]), e.defocus_v - float(truth.defocus_v[0])]
            angles.append(angle_difference(e.defocus_angle, float(truth.defocus_angle[0])))
            phases.append(e.phase_shift - spec.phase_shift)
            scores.append(e.figure_of_merit)
            rings.append(e.max_resolution)
        print(
            f"| {name} | {_rms(errors):.0f}, {np.abs(errors).max():.0f} | {_rms(angles):.1f}, {np.abs(angles).max():.1f} "
            f"| {_rms(phases):.1f} | {np.median(scores):.2f} | {np.median(rings):.1f} |",
            flush=True,
        )


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def cost(size: int) -> None:
    """Print seconds and memory for one micrograph; what it shows does not matter for them."""
    image = np.random.default_rng(0).poisson(40, (size, size)).astype(np.float32)
    print("| pixel (A) | search | spectrum (s) | fit (s) | peak memory (MiB) |\n|---|---|---|---|---|")
    for pixel in (1.4, 0.7):
        started = time.process_time()
        spectrum = micrograph_spectrum(image, pixel, BOX)
        spent = time.process_time() - started
        for name, where in (
            ("default", SearchRange()),
            ("with phase shift", SearchRange(phases=(0.0, 180.0, 10.0))),
            ("exhaustive", SearchRange(exhaustive=True)),
        ):
            started = time.process_time()
            estimate_ctf(spectrum, Microscope(300.0, 2.7, 0.1), where, RESMIN, RESMAX)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / 2**20
            print(f"| {pixel} | {name} | {spent:.2f} | {time.process_time() - started:.2f} | {peak:.0f} |", flush=True)


def main() -> None:
    """Run one of the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("real", "movies", "cost"))
    parser.add_argument("--data", type=Path, help="folder of the real micrographs")
    parser.add_argument("--figures", type=Path, help="write figures to this folder")
    parser.add_argument("--n", type=int, default=6, help="number of movies")
    parser.add_argument("--size", type=int, default=2048, help="side of simulated movies in px")
    args = parser.parse_args()
    if args.what == "real":
        if args.data is None:
            parser.error("give the folder of the real micrographs with --data")
        compare_real(args.data, args.figures)
    elif args.what == "movies":
        compare_movies(args.n, args.size)
    else:
        cost(args.size)


if __name__ == "__main__":
    main()
