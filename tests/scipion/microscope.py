"""A session of EPU that arrives file by file, as a microscope and its file server write it."""

import functools
import random
import shutil
import tempfile
import threading
import time
from pathlib import Path

GROUPS, PIXEL, FRAMES, SIZE = 3, 3.0, 4, 128


@functools.cache
def prepared_session(n: int = 12) -> Path:
    """A whole session of small movies with three positions of the beam."""
    from relion4plugin.progress import Silent
    from relion4plugin.simulation.movie_spec import MovieSpec
    from relion4plugin.simulation.movies import simulate_movies

    folder = Path(tempfile.mkdtemp(prefix="r4p-session-")) / "session"
    spec = MovieSpec(
        n_movies=n, width=SIZE, height=SIZE, n_frames=FRAMES, pixel_size=PIXEL, dose_per_frame=4.0, n_particles=3, junk_fraction=0.0,
        n_optics_groups=GROUPS, layout="epu", seed=4,
    )  # fmt: skip
    simulate_movies(spec, folder, Silent())
    return folder


def data_folder(session: Path) -> Path:
    return next(session.glob("Images-Disc1/GridSquare_*/Data"))


def movies_in(session: Path) -> list[Path]:
    return sorted(data_folder(session).glob("*_fractions.tiff"))


class Microscope:
    """Writes a prepared session into a folder in the background; movies grow, and metadata come before or after them."""

    def __init__(self, source: Path, target: Path, pause: float = 0.1) -> None:
        self.target, self._pause = target, pause
        self._source, self._random = source, random.Random(3)
        self.gate = threading.Event()  # the second half waits for it
        self._thread = threading.Thread(target=self._write)

    def start(self) -> "Microscope":
        self._thread.start()
        return self

    def end(self) -> None:
        self.gate.set()
        self._thread.join()

    def _write(self) -> None:
        data = data_folder(self._source)
        place = self.target / data.relative_to(self._source)
        place.mkdir(parents=True)
        shutil.copy(self._source / "EpuSession.dm", self.target)
        shutil.copy(next(data.glob("*_gain.tiff")), place)
        movies = movies_in(self._source)
        for number, movie in enumerate(movies):
            if number == len(movies) // 2:
                self.gate.wait()
            xml = data / movie.name.replace("_fractions.tiff", ".xml")
            steps = [lambda xml=xml: shutil.copy(xml, place), lambda movie=movie: self._grow(movie, place / movie.name)]
            self._random.shuffle(steps)
            for step in steps:
                step()
                time.sleep(self._pause * self._random.random())

    def _grow(self, source: Path, target: Path) -> None:
        content = source.read_bytes()
        with target.open("wb") as stream:
            for start in (0, len(content) // 2):
                stream.write(content[start : start + len(content) // 2 if start == 0 else None])
                stream.flush()
                time.sleep(self._pause)
