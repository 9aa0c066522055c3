"""Simulated movies in a Scipion project, as a set that grows."""

import functools
import os
import tempfile
from pathlib import Path
from typing import Any

from .workplace import new_project

PIXEL, DOSE, DIAMETER = 3.0, 4.0, 120.0


@functools.cache
def simulated_movies(n: int = 5) -> tuple[Path, ...]:
    """Movies of 256 px and 6 frames with some ten particles each, and a gain reference beside them."""
    from relion4plugin.progress import Silent
    from relion4plugin.simulation.movie_spec import MovieSpec
    from relion4plugin.simulation.movies import simulate_movies

    spec = MovieSpec(
        n_movies=n, width=256, height=256, n_frames=6, pixel_size=PIXEL, dose_per_frame=DOSE, n_particles=10, junk_fraction=0.0, seed=2
    )  # fmt: skip
    return simulate_movies(spec, Path(tempfile.mkdtemp(prefix="r4p-movies-")), Silent()).movies


class Session:
    """A project with a set of movies that is open, and runs of the plugin's protocols on it."""

    def __init__(self, name: str) -> None:
        from pwem.objects import Acquisition, SetOfMovies
        from pwem.protocols import ProtImportMovies

        self.project, self.movies = new_project(name), simulated_movies()
        self.source = self.project.newProtocol(ProtImportMovies)
        self.project.saveProtocol(self.source)
        self.source.makePathsAndClean()
        self.set = SetOfMovies(filename=self.source._getPath("movies.sqlite"))
        self.acquisition = Acquisition(
            voltage=300.0, sphericalAberration=2.7, amplitudeContrast=0.1, dosePerFrame=DOSE, magnification=50000
        )
        self.set.setAcquisition(self.acquisition)
        self.set.setSamplingRate(PIXEL)
        self.set.setGain(str(self.movies[0].parents[1] / "gain.mrc"))

    def add(self, *files: Path, closed: bool = False) -> None:
        """Let movies arrive, and close the set if these were the last."""
        from pwem.objects import Movie

        if self.source.hasAttribute("outputMovies"):
            self.set = type(self.set)(filename=self.set.getFileName())
            self.set.loadAllProperties()
            self.set.enableAppend()
        for file in files:
            link = self.source._getExtraPath(file.name)
            os.symlink(file, link)
            movie = Movie(location=link)
            movie.setMicName(file.stem)
            movie.setSamplingRate(PIXEL)
            movie.setAcquisition(self.acquisition)
            self.set.append(movie)
        self.source._updateOutputSet("outputMovies", self.set, self.set.STREAM_CLOSED if closed else self.set.STREAM_OPEN)
        self.source.status.set("finished")  # setFinished() would close the set
        self.project._storeProtocol(self.source)

    def new(self, name: str, **form: Any) -> Any:
        """Make a run; inputs are given as pairs of a run and the name of its output."""
        import pyworkflow

        inputs = {key: form.pop(key) for key in list(form) if isinstance(form[key], tuple)}
        run = self.project.newProtocol(pyworkflow.Config.getDomain().getProtocols()[name], **form)
        for key, (producer, output) in inputs.items():
            getattr(run, key).set(self.live(producer))
            getattr(run, key).setExtended(output)
        return run

    def launch(self, run: Any, wait: bool = True) -> Any:
        """Start a run; returns it as it is then."""
        errors = run.validate()
        if errors:
            raise AssertionError(errors)
        self.project.launchProtocol(run, wait=wait)
        return self.project.getProtocol(run.getObjId()) if wait else run

    def live(self, run: Any) -> Any:
        """Return a run as its own process sees it."""
        return next(one for one in self.project.getRuns(refresh=True, checkPids=False) if one.getObjId() == run.getObjId())

    def corrected(self, **form: Any) -> Any:
        """Return a motion correction that has not been started."""
        return self.new("ProtR4pMotionCorrection", inputMovies=(self.source, "outputMovies"), **form)


def items_of(output: Any) -> list[Any]:
    """Return copies of the items of an output as its file has them."""
    fresh = type(output)(filename=output.getFileName())
    fresh.loadAllProperties()
    found = [item.clone() for item in fresh.iterItems()]
    fresh.close()
    return found
