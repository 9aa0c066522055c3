"""2D classification of particles that still arrive: calls that take what is there, or one that waits for more."""

import re
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.particles import ParticleSet
from relion4plugin.files.star import read_star
from relion4plugin.jobs.class2d_parameters import Class2DParameters, n_classes_of
from relion4plugin.jobs.inputs import read_input_particles
from relion4plugin.progress import Progress
from relion4plugin.refinement.output import RefinementResult
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.streaming import classify_stream, read_stream, stream_file

POLL_SECONDS = 10.0
KEPT_CALLS = 3  # whose files stay, besides those of the newest written iteration
GROWTH = 2.5  # times as many particles are expected in the end as a stream begins with
FORMER = "former"  # folder of a stream that begins anew, until that is done
TOO_FEW, TOO_MANY = 2 / 3, 1.5  # times as many classes as there should be in the end; then the last call begins anew
_NUMBER = re.compile(r"run_it(\d{3,})_optimiser\.star$")


@dataclass
class _Listing:
    """A list of particles that is written anew as it grows."""

    path: Path
    seen: tuple[int, int] = (0, 0)  # size and time of the file that was read last

    def stamp(self) -> tuple[int, int]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return (0, 0)
        return (status.st_size, status.st_mtime_ns)

    def has_changed(self) -> bool:
        return self.stamp() not in ((0, 0), self.seen)

    def read(self) -> ParticleSet:
        self.seen = self.stamp()
        return read_input_particles(self.path)


def newest_call(out_dir: Path) -> Path | None:
    """Return the optimiser file from which a stream in a directory goes on, None where there is none."""
    found = [(int(match[1]), path) for path in out_dir.glob("run_it*_optimiser.star") if (match := _NUMBER.search(path.name))]
    streams = [(number, path) for number, path in found if stream_file(path).is_file()]
    return max(streams)[1] if streams else None


def run_stream(parameters: Class2DParameters, settings: RefinementSettings, out_dir: Path, progress: Progress) -> RefinementResult:
    """Classify what is there; with `stream_wait`, go on with what arrives until nothing has for so long.

    Parameters
    ----------
    parameters
        Of the job, with `do_stream`.
    settings
        Of the engine.
    out_dir
        Existing job directory; a stream that was begun there goes on.
    progress
        Told how far the run is, and asked while waiting whether to stop.

    Raises
    ------
    UserError
        If there are fewer particles than `stream_first` and nothing is waited for, or the particles cannot be classified.
    """
    listing, wait = _Listing(Path(parameters.fn_img)), 60.0 * parameters.stream_wait
    result, heard = None, time.monotonic()
    while True:
        if listing.has_changed():
            particles = listing.read()
            if _enough(parameters, particles, out_dir, waits=wait > 0):
                result = _call(parameters, settings, particles, out_dir, progress, last=parameters.stream_last and not wait)
            heard = time.monotonic()
        if wait <= 0:
            assert result is not None
            return result
        if time.monotonic() - heard > wait:
            return _last_call(parameters, settings, listing, out_dir, progress, result)
        progress.advance(0)
        time.sleep(min(POLL_SECONDS, wait))


def _enough(parameters: Class2DParameters, particles: ParticleSet, out_dir: Path, *, waits: bool) -> bool:
    if len(particles) >= parameters.stream_first or newest_call(out_dir) is not None:
        return True
    if not waits:
        raise UserError(
            f"{parameters.fn_img} has {len(particles)} particles, a stream begins with {parameters.stream_first}: "
            "wait for more, give --stream_wait, or lower --stream_first"
        )
    return False


def _call(
    parameters: Class2DParameters, settings: RefinementSettings, particles: ParticleSet, out_dir: Path, progress: Progress, *, last: bool
) -> RefinementResult:
    begun = newest_call(out_dir)
    n_classes = n_classes_of(parameters, len(particles) if last else round(GROWTH * len(particles)))
    if begun is not None and parameters.parts_per_class > 0:
        has = _begun_with(begun)
        if last and not TOO_FEW * n_classes <= has <= TOO_MANY * n_classes:
            _set_aside(out_dir)
            begun = None
        else:
            n_classes = has
    result = classify_stream(replace(settings, n_classes=n_classes), particles, out_dir, progress, resume=begun, last=last)
    shutil.rmtree(out_dir / FORMER, ignore_errors=True)
    _tidy(out_dir, settings.n_iterations)
    return result


def _set_aside(out_dir: Path) -> None:
    """Move the files of a stream, which begins anew, into a folder of their own: if that fails they are still there."""
    (out_dir / FORMER).mkdir(exist_ok=True)
    for path in out_dir.glob("run_it*"):
        path.replace(out_dir / FORMER / path.name)


def _begun_with(optimiser: Path) -> int:
    """Return the number of classes of a stream."""
    model = optimiser.with_name(optimiser.name.replace("_optimiser.star", "_model.star"))
    return int(str(read_star(model)["model_general"]["rlnNrClasses"]))


def _last_call(
    parameters: Class2DParameters, settings: RefinementSettings, listing: _Listing, out_dir: Path, progress: Progress,
    result: RefinementResult | None,
) -> RefinementResult:  # fmt: skip
    if result is None and newest_call(out_dir) is None:
        raise UserError(f"{listing.path}: no particles came, or too few to begin; lower --stream_first, or give a longer --stream_wait")
    return _call(parameters, settings, listing.read(), out_dir, progress, last=True)


def _tidy(out_dir: Path, n_iterations: int) -> None:
    """Remove files of all written iterations but the last calls' results, so that a long stream does not fill the disk."""
    numbered = sorted((int(match[1]), path) for path in out_dir.glob("run_it*_optimiser.star") if (match := _NUMBER.search(path.name)))
    ends = [number for number, path in numbered if stream_file(path).is_file() and read_stream(path).position >= n_iterations - 1]
    kept = {*ends[-KEPT_CALLS:], numbered[-1][0]}
    for number, _ in numbered:
        if number not in kept:
            for path in out_dir.glob(f"run_it{number:03d}_*"):
                path.unlink()
