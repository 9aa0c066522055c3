"""A session of small movies that arrive while `relion4plugin it` works on them, and what starts a runner again that was killed."""

import random
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from measure import run_measured
from soak_kill import processes_of

from relion4plugin.errors import UserError
from relion4plugin.jobs.markers import SUCCESS
from relion4plugin.progress import Progress
from relion4plugin.schemes.it.launch import start_runners
from relion4plugin.schemes.locks import running_owner
from relion4plugin.schemes.project import Project, open_project
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import simulate_movies

SCHEMES = ("prep", "proc")
MANY = 10**8
# Large enough for a particle and the rings of a CTF, small enough to cost a tenth of a second in each stage.
SPEC = MovieSpec(
    width=192, height=192, n_frames=4, pixel_size=2.5, dose_per_frame=10.0, defocus_min=20000.0, defocus_max=30000.0, n_particles=6,
    junk_fraction=0.0, drift=5.0, local_motion=1.0, hot_pixels=0.0, dead_pixels=0.0, seed=3,
)  # fmt: skip
OPTIONS = {
    "angpix": SPEC.pixel_size, "dose_per_frame": SPEC.dose_per_frame, "particle_diameter": 120, "ctf_max_resolution": 100,
    "min_nr_parts_3d": MANY, "nr_classes": 4, "growth_2d": 1.5, "max_idle_waits": 3, "end_when_idle": "Yes",
}  # fmt: skip
KEYS = {
    "prep__importmovies__settle_seconds": 1, "prep__motioncorr__patch_x": 1, "prep__motioncorr__patch_y": 1,
    "prep__ctffind__dfmin": 18000, "prep__ctffind__dfmax": 32000, "prep__ctffind__dfstep": 1000, "prep__ctffind__resmin": 50,
    "prep__ctffind__resmax": 12, "proc__class2d__nr_iter_grad": 20, "proc__last_nr_parts_3d": MANY,
}  # fmt: skip
_LOOK = 0.4  # seconds between two looks, on average
_REPORT = 10.0
_MOST_RESTARTS = 20  # beyond four for each kill: a scheme that fails again and again


@dataclass(frozen=True)
class Session:
    """A folder with arriving movies and the project that works on them; `n_first` particles begin the classification.

    `interval` are seconds between two movies, `pause` from one pass of a scheme to the next; `at_most` movies are corrected in a pass.
    """

    folder: Path
    n_movies: int
    n_first: int
    interval: float
    at_most: int = 50
    pause: float = 5.0
    threads: int = 1

    @property
    def movies(self) -> Path:
        """Folder in which movies appear."""
        return self.folder / "Movies"

    @property
    def project(self) -> Project:
        """The project."""
        return open_project(self.folder / "project")

    def start(self, gain: Path) -> None:
        """Fill the schemes and start their runners, as a user does."""
        self.movies.mkdir(parents=True)
        (self.folder / "project").mkdir()
        told = {"movies": f"{self.movies.resolve()}/*.tiff", "fn_gain_ref": gain.resolve(), "min_nr_parts_2d": self.n_first}
        options = {**OPTIONS, **told, "do_at_most": self.at_most, "wait_sec": self.pause, "threads": self.threads}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        keys = {**KEYS, "prep__ctffind__nr_mpi": self.threads}
        words += [word for name, value in keys.items() for word in ("--set", f"{name}={value}")]
        command = [sys.executable, "-m", "relion4plugin.cli.main", "it", "--project", str(self.folder / "project"), *words]
        run_measured(command, self.folder / "it.log")

    def progress(self) -> tuple[int, int]:
        """Return how many micrographs have a CTF, and how many have picks."""
        root = self.project.root
        return len(list(root.glob("CtfFind/job*/Movies/*.ctf"))), len(list(root.glob("AutoPick/job*/Movies/*_autopick.star")))


def simulate_originals(folder: Path, n_originals: int, progress: Progress) -> tuple[list[Path], Path]:
    """Simulate the distinct movies and their gain reference, unless that was done before."""
    names = [folder / "Movies" / f"movie_{i + 1:05d}.tiff" for i in range(n_originals)]
    gain = folder / "gain.mrc"
    if not (folder / "truth.star").is_file() or not all(path.is_file() for path in names):
        shutil.rmtree(folder, ignore_errors=True)
        values = {name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__}
        simulate_movies(MovieSpec(**{**values, "n_movies": n_originals}), folder, progress)
    return names, gain


class Feeder(threading.Thread):
    """Copies movies into a session one after the other; each is half written first."""

    def __init__(self, session: Session, originals: Sequence[Path]) -> None:
        super().__init__(daemon=True)
        self.session, self.contents, self.n_fed = session, [path.read_bytes() for path in originals], 0

    def run(self) -> None:
        """Copy all movies."""
        for i in range(self.session.n_movies):
            content = self.contents[i % len(self.contents)]
            with open(self.session.movies / f"movie_{i + 1:05d}.tiff", "wb", buffering=0) as stream:
                stream.write(content[: len(content) // 2])
                time.sleep(self.session.interval / 2)
                stream.write(content[len(content) // 2 :])
            self.n_fed += 1
            time.sleep(self.session.interval / 2)


@dataclass
class Watched:
    """What happened: seconds until both schemes had finished, how often each was started again, and why it had stopped."""

    seconds: float = 0.0
    restarts: Counter[str] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)


def watch(session: Session, feeder: Feeder, disturb: Callable[[int, int], int], chance: random.Random) -> Watched:
    """Wait until both schemes have finished; start again what is not running, as a facility's service manager would.

    Parameters
    ----------
    session, feeder
        What is watched.
    disturb
        Told how many micrographs have CTFs and picks; kills a process if it likes, and returns how often it has.
    chance
        Makes the moments of looking random.

    Raises
    ------
    UserError
        If a scheme stops again and again.
    """
    watched, begin, told = Watched(), time.monotonic(), 0.0
    while True:
        open_ends = [name for name in SCHEMES if not (session.project.scheme_directory(name) / SUCCESS).exists()]
        stopped = _stopped(session.project, open_ends)
        done = session.progress()
        kills = disturb(*done)
        watched.seconds = time.monotonic() - begin
        if not open_ends and not feeder.is_alive():
            return watched
        if not open_ends:
            raise UserError(f"the schemes ended before all movies had come: {feeder.n_fed} of {session.n_movies}")
        for name in stopped:
            watched.restarts[name] += 1
            watched.reasons.append(f"{name}: {session.project.scheme_directory(name).name} {_last_line(session.project, name)}")
            start_runners(session.project, [name], watch=0.0)
        if sum(watched.restarts.values()) > 4 * kills + _MOST_RESTARTS:
            raise UserError(f"a scheme stops again and again; last: {watched.reasons[-1]}")
        if watched.seconds - told > _REPORT:
            told = watched.seconds
            restarts = sum(watched.restarts.values())
            print(f"{told:6.0f} s  movies {feeder.n_fed}, CTFs {done[0]}, picked {done[1]}, kills {kills}, restarts {restarts}", flush=True)
        time.sleep(chance.uniform(0.0, 2.0 * _LOOK))


def _stopped(project: Project, names: Sequence[str]) -> list[str]:
    """Return the schemes that no runner holds and that none is about to take."""
    runners = {one.kind for one in processes_of(project.root)}
    return [name for name in names if f"runner of {name}" not in runners and not running_owner(project, name)[0]]


def _last_line(project: Project, name: str) -> str:
    lines = (project.scheme_directory(name) / "run.out").read_text(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "said nothing"
