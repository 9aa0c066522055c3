"""A data set on disk: its files, its truth, its signal-to-noise ratio, and that it can be made again."""

from dataclasses import replace

import mrcfile
import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc, write_volume
from relion4plugin.files.star import read_star
from relion4plugin.imaging.fourier import half_to_image
from relion4plugin.progress import Silent
from relion4plugin.simulation.density import make_density
from relion4plugin.simulation.images import prepare_images
from relion4plugin.simulation.particles import simulate
from relion4plugin.simulation.plan import make_plan
from relion4plugin.simulation.spec import JUNK_KINDS, NEIGHBOUR, PARTICLE, SimulationSpec

SPEC = SimulationSpec(n_particles=70, box_size=32, pixel_size=7.0, junk_fraction=0.3, n_micrographs=3, n_optics_groups=2, seed=5)


class Counter(Silent):
    """Counts what it is told."""

    total = 0
    done = 0

    def start(self, label: str, total: int) -> None:
        self.total = total

    def advance(self, n: int = 1, note: str = "") -> None:
        self.done += n


def images_of(folder, table) -> np.ndarray:
    parts = [name.split("@") for name in table["rlnImageName"]]
    stacks = {path: read_mrc(folder / path)[0] for _, path in parts}
    return np.stack([stacks[path][int(number) - 1] for number, path in parts])


def test_files_and_their_columns(tmp_path) -> None:
    counter = Counter()
    result = simulate(SPEC, tmp_path, counter)
    assert (counter.total, counter.done) == (70, 70)
    extracted, truth = read_star(result.particles_star), read_star(result.truth_star)
    assert not any(label.startswith(("rlnAngle", "rlnOrigin", "rlnSimulated")) for label in extracted["particles"].columns)
    for label in extracted["particles"].columns:
        assert (extracted["particles"][label] == truth["particles"][label]).all(), label
    assert list(truth["optics"]["rlnOpticsGroup"]) == [1, 2]
    table = truth["particles"]
    assert table["rlnMicrographName"].nunique() == table["rlnImageName"].str.split("@").str[1].nunique() == 3
    assert table.groupby("rlnMicrographName")["rlnOpticsGroup"].nunique().max() == 1
    kinds = table["rlnSimulatedKind"].value_counts()
    assert kinds[PARTICLE] == 49 and all(kinds[kind] in (4, 5) for kind in JUNK_KINDS)
    assert ((table["rlnSimulatedIsParticle"] == 1) == table["rlnSimulatedKind"].isin([PARTICLE, NEIGHBOUR])).all()
    volume, pixel = read_mrc(result.map_path)
    assert volume.shape == (32, 32, 32) and pixel == pytest.approx(7.0)
    images = images_of(tmp_path, table)
    axis = np.arange(32) - 16
    outside = axis[:, None] ** 2 + axis**2 > 12**2
    assert np.abs(images[:, outside].mean(axis=1)).max() < 1e-4 and np.abs(images[:, outside].std(axis=1) - 1).max() < 1e-4


def test_same_seed_same_files_whatever_the_chunk(tmp_path) -> None:
    folders = [tmp_path / name for name in "abc"]
    simulate(SPEC, folders[0], Silent())
    simulate(SPEC, folders[1], Silent(), chunk_bytes=1)
    simulate(replace(SPEC, seed=6), folders[2], Silent())
    tables = [read_star(folder / "truth.star")["particles"] for folder in folders]
    assert tables[0].equals(tables[1]) and not tables[0].equals(tables[2])
    first, second, third = (images_of(folder, table) for folder, table in zip(folders, tables, strict=True))
    assert np.abs(first - second).max() < 1e-4  # matrix products of other sizes round differently
    assert np.abs(first - third).max() > 1


def test_float16_stack_is_the_rounded_float32_stack(tmp_path) -> None:
    one, two = replace(SPEC, n_micrographs=1, n_optics_groups=1), replace(SPEC, n_micrographs=1, n_optics_groups=1, float16=True)
    simulate(one, tmp_path / "one", Silent())
    simulate(two, tmp_path / "two", Silent())
    with mrcfile.open(tmp_path / "two/Particles/mic00001.mrcs") as small, mrcfile.open(tmp_path / "one/Particles/mic00001.mrcs") as large:
        assert (int(small.header.mode), int(large.header.mode)) == (12, 2)
        assert small.is_image_stack() and float(small.voxel_size.x) == pytest.approx(7.0)
        assert np.array_equal(small.data, large.data.astype(np.float16))
        assert float(large.header.dmax) == large.data.max() and float(large.header.dmin) == large.data.min()
        assert float(large.header.rms) == pytest.approx(large.data.std(), rel=1e-4)


def test_signal_to_noise_ratio_is_the_one_asked_for() -> None:
    spec = SimulationSpec(n_particles=200, box_size=48, pixel_size=5.0, snr=0.3)
    density = make_density(spec)
    plan = make_plan(spec, density.diameter)
    maker = prepare_images(spec, plan, density.volume, density.diameter)
    signal = half_to_image(maker.signal(np.arange(200))[0], 48)
    axis = np.arange(48) - 24
    disc = axis[:, None] ** 2 + axis**2 <= (density.diameter / 5.0 / 2) ** 2
    assert signal[:, disc].var(axis=1).mean() == pytest.approx(0.3, rel=1e-3)  # the noise has variance 1


def test_a_particle_at_positive_x_has_a_negative_origin(tmp_path) -> None:
    axis = np.arange(48) - 24
    ball = np.exp(-0.5 * (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) / 9.0).astype(np.float32)
    write_volume(tmp_path / "ball.mrc", ball, 4.0)
    spec = SimulationSpec(
        source=str(tmp_path / "ball.mrc"), n_particles=40, box_size=48, pixel_size=4.0, snr=500.0, shift_sigma=4.0, noise_colour=0
    )
    truth = read_star(simulate(spec, tmp_path / "out", Silent()).truth_star)["particles"]
    for image, row in zip(images_of(tmp_path / "out", truth), truth.itertuples(), strict=True):
        peak = np.where(image > 0.6 * image.max(), image, 0)
        found = np.array([(peak.sum(axis=0) * axis).sum(), (peak.sum(axis=1) * axis).sum()]) / peak.sum()
        assert np.abs(found + np.array([row.rlnOriginXAngst, row.rlnOriginYAngst]) / 4.0).max() < 0.5


def test_preferred_views_gather_about_as_many_directions() -> None:
    spec = SimulationSpec(n_particles=3000, n_views=3, view_spread=8.0)
    plan = make_plan(spec, 150.0)
    assert np.allclose(plan.matrices @ plan.matrices.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    for view in (1, 2, 3):
        directions = plan.matrices[plan.views == view][:, 2]
        mean = directions.mean(axis=0) / np.linalg.norm(directions.mean(axis=0))
        angle = np.rad2deg(np.arccos(np.clip(directions @ mean, -1, 1)))
        assert np.sqrt((angle**2).mean() / 2) == pytest.approx(8.0, rel=0.1)
    assert np.abs(np.exp(1j * np.deg2rad(plan.angles[:, 2])).mean()) < 0.06  # psi is free


def test_without_preferred_views_directions_are_uniform() -> None:
    plan = make_plan(SimulationSpec(n_particles=4000), 150.0)
    directions = plan.matrices[:, 2]
    assert np.abs(directions.mean(axis=0)).max() < 0.05
    assert np.allclose((directions**2).mean(axis=0), 1 / 3, atol=0.03)
    assert (plan.views == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"box_size": 33}, "box_size"),
        ({"n_particles": 0}, "n_particles"),
        ({"snr": 0.0}, "snr"),
        ({"snr": float("nan")}, "snr"),
        ({"junk_fraction": 1.5}, "junk_fraction"),
        ({"junk_kinds": ("dust",)}, "junk_kinds"),
        ({"n_micrographs": 80}, "n_micrographs"),
        ({"n_optics_groups": 4}, "n_optics_groups"),
        ({"defocus_min": 30000.0}, "defocus_max"),
        ({"diameter": 400.0}, "diameter"),
        ({"source": "no_such.pdb"}, "does not exist"),
        ({"source": "picture.png"}, "neither"),
        ({"source": "pseudo:x"}, "neither"),
    ],
)
def test_bad_values_are_named(change: dict, message: str, tmp_path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        simulate(replace(SPEC, **change), tmp_path / "out", Silent())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_output_folder_that_cannot_be_made_is_one_line(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another output folder"):
        simulate(SPEC, tmp_path / "file", Silent())


def test_only_junk_is_possible(tmp_path) -> None:
    result = simulate(replace(SPEC, junk_fraction=1.0), tmp_path, Silent())
    table = read_star(result.truth_star)["particles"]
    assert set(table["rlnSimulatedKind"]) == set(JUNK_KINDS)
    assert np.isfinite(images_of(tmp_path, table)).all()
