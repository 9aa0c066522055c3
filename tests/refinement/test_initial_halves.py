"""When the refinement of an initial model by halves ends, and which map it gives."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from relion4plugin.files.mrc import read_mrc, write_volume
from relion4plugin.files.particles import write_particles
from relion4plugin.progress import Silent
from relion4plugin.refinement import initial_halves
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.initial_halves import LEAST_GAIN, half_resolution, is_settled, refine_by_halves, still_gains
from relion4plugin.refinement.settings import RefinementSettings
from tests.refinement.projections import BOX, DIAMETER, ball_volume, molecule, project
from tests.refinement.simulated import PIXEL

SETTINGS = RefinementSettings(
    dimension=3, n_classes=1, particle_diameter=DIAMETER, padding=1, norm_correction=False, scale_correction=False, offset_range=3.0,
    offset_step=2.0, threads=2, seed=1,
)  # fmt: skip
LOWPASS = DIAMETER / 6


def curve(shells: int) -> list[float]:
    """FSC of halves that agree up to a shell."""
    return [1.0] * (shells + 1) + [0.0] * (BOX // 2 - shells)


SETTLED = int(np.ceil(BOX * PIXEL / (0.5 * LOWPASS)))  # first shell of at most half the low-pass resolution


def test_settled_is_twice_the_shared_resolution():
    assert half_resolution(np.array(curve(8)), PIXEL) == pytest.approx(BOX * PIXEL / 8)
    assert is_settled(np.array(curve(4)), 1.0, 2 * BOX / 4)
    assert not is_settled(np.array(curve(3)), 1.0, 2 * BOX / 4)


@pytest.mark.parametrize(
    ("agreed", "expected"),
    [
        ([3.0, 4.0, 4.0 + LEAST_GAIN + 0.01, 3.0], True),  # one of the last two is better than all before
        ([3.0, 4.0, 3.0, 4.0 + LEAST_GAIN + 0.01], True),
        ([3.0, 4.0, 4.0, 4.0 + LEAST_GAIN - 0.01], False),
        ([5.0, 3.0, 4.0, 4.5], False),  # more than a moment ago is not more than ever
    ],
)
def test_gain_is_a_better_agreement_than_ever(agreed, expected):
    assert still_gains(np.array(agreed)[:, None] * np.array([[0.5, 0.3, 0.2]])) is expected


class Script:
    """Stands in for the engine: each iteration has a given agreement of the halves; the joined map is 1, halves are 2 and 4."""

    def __init__(self, folder: Path, shells: list[int], converges: int = 999):
        self.folder, self.shells, self.converges, self.calls = folder, shells, converges, []
        for name, value in (("joined", 1.0), ("half1", 2.0), ("half2", 4.0)):
            write_volume(folder / f"{name}.mrc", np.full((4, 4, 4), value, np.float32), PIXEL)

    def __call__(self, settings, particles, out, progress, *, resume=None, stop_after):
        last = min(stop_after, settings.n_iterations, self.converges)
        self.calls.append((None if resume is None else resume.name, last))
        out.mkdir(exist_ok=True)
        lines = [json.dumps({"fsc": curve(shell)}) + "\n" for shell in self.shells[:last]]
        (out / "run_iterations.jsonl").write_text("".join(lines))
        halves = (self.folder / "half1.mrc", self.folder / "half2.mrc")
        return SimpleNamespace(
            iteration=last, finished=last == self.converges, maps=(self.folder / "joined.mrc",), half_maps=halves,
            optimiser_star=out / f"run_it{last:03d}_optimiser.star",
        )  # fmt: skip


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    return project(tmp_path_factory.mktemp("molecule"), 24, structures=[molecule(5)], noise=0.2)


def scripted(monkeypatch, truth, folder, shells, iterations=2, **options):
    script = Script(folder, shells, **options)
    monkeypatch.setattr(initial_halves, "refine", script)
    result = SimpleNamespace(data_star=with_classes(folder, truth), maps=(folder / "map.mrc",))
    return script, refine_by_halves(SETTINGS, truth.particles, result, 1, folder, iterations, Silent())


def with_classes(folder: Path, truth) -> Path:
    write_particles(folder / "data.star", truth.particles.with_columns({"rlnClassNumber": np.ones(len(truth.particles), int)}))
    return folder / "data.star"


def low(step: int) -> int:
    """A shell that is not enough to be settled."""
    return SETTLED - 5 + step


@pytest.mark.parametrize(
    ("shells", "ends"),
    [
        ([low(0), SETTLED], [2]),  # settled in time
        ([low(0), low(1), low(1), low(1), SETTLED], [2, 4]),  # stands still
        ([low(0), low(1), low(1), low(2), low(2), low(2)], [2, 4, 6]),  # gains once
        ([low(0), low(1), low(2), low(3), low(4), SETTLED], [2, 4, 6]),  # gains to the limit
        ([low(4), low(0), low(1), low(2), low(3), low(3)], [2, 4]),  # less than it once had
    ],
)
def test_an_unsettled_map_is_refined_while_it_gains(monkeypatch, truth, tmp_path, shells, ends):
    script, halves = scripted(monkeypatch, truth, tmp_path, shells)
    assert [last for _, last in script.calls] == ends
    assert [name for name, _ in script.calls] == [None, *(f"run_it{end:03d}_optimiser.star" for end in ends[:-1])]
    assert halves.fsc.tolist() == curve(shells[ends[-1] - 1])
    assert halves.resolution == pytest.approx(BOX * PIXEL / shells[ends[-1] - 1])
    assert halves.lowpass == pytest.approx(LOWPASS)


@pytest.mark.parametrize(("converges", "expected"), [(2, 1.0), (4, 1.0), (999, 3.0)])
def test_a_converged_refinement_gives_its_joined_map(monkeypatch, truth, tmp_path, converges, expected):
    """The half maps that it leaves are unfiltered; the mean of the regularised ones is taken only before. Nothing follows it."""
    script, halves = scripted(monkeypatch, truth, tmp_path, [low(0), low(1), low(2), low(3), low(4), low(4)], converges=converges)
    assert np.all(halves.map == expected)
    assert script.calls[-1][1] == min(converges, 6)


def test_going_on_is_one_refinement(monkeypatch, tmp_path):
    """Stopping to decide changes nothing: maps and curves are those of a run of as many iterations."""
    truth = project(tmp_path, 60, structures=[molecule(5)], noise=0.5, signal=1.0)
    write_volume(tmp_path / "map.mrc", ball_volume(molecule(5), BOX), PIXEL)
    result = SimpleNamespace(data_star=with_classes(tmp_path, truth), maps=(tmp_path / "map.mrc",))
    asked = []

    def remember(settings, *words, **options):
        asked.append((settings, words))
        return refine(settings, *words, **options)

    monkeypatch.setattr(initial_halves, "refine", remember)
    monkeypatch.setattr(initial_halves, "is_settled", lambda *words: False)
    monkeypatch.setattr(initial_halves, "still_gains", lambda curves: True)
    halves = refine_by_halves(SETTINGS, truth.particles, result, 1, tmp_path, 1, Silent())
    assert len(asked) == 2 and asked[0][0].n_iterations == 3
    settings, (particles, *_) = asked[0]
    whole = refine(replace(settings, threads=1), particles, tmp_path / "whole", Silent())
    assert not whole.finished
    assert np.array_equal(halves.map, np.mean([read_mrc(path)[0] for path in whole.half_maps], axis=0, dtype=np.float32))
