"""Mixtures on disk: the truth is true, the shares and the signal-to-noise ratio are those asked for."""

from dataclasses import replace

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc, write_volume
from relion4plugin.files.star import read_star
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.imaging.ctf import CtfParameters, evaluate_ctf
from relion4plugin.imaging.fourier import half_frequencies, half_to_image, image_to_half
from relion4plugin.imaging.projection import project_volume
from relion4plugin.progress import Silent
from relion4plugin.simulation.contaminants import cut_volume, place_phases
from relion4plugin.simulation.images import background_pixels, subtract_ramps
from relion4plugin.simulation.mixture import MixtureResult, simulate_mixture
from relion4plugin.simulation.mixture_images import ROWS_AT_ONCE, MixtureImages, prepare_mixture_images
from relion4plugin.simulation.mixture_maps import make_maps, source_diameter
from relion4plugin.simulation.mixture_plan import deal, make_mixture_plan, orientations
from relion4plugin.simulation.mixture_spec import INTACT, KINDS, NEIGHBOURS, OFF_CENTRE, PARTICLE_KINDS, MixtureSpec, pseudo_numbers

SOURCE = "pseudo:17"  # C4, 98 A across
SPEC = MixtureSpec(sources=((SOURCE, 1.0),), n_particles=100, box_size=48, pixel_size=4.0, seed=2)
EVERYTHING = replace(SPEC, sources=((SOURCE, 0.7), ("pseudo:5", 0.3)), kinds=dict.fromkeys(KINDS, 1.0), n_particles=180, ramp=1.0)


def maker_of(spec: MixtureSpec) -> MixtureImages:
    maps = make_maps(spec)
    return prepare_mixture_images(spec, make_mixture_plan(spec, maps), maps)


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> MixtureResult:
    return simulate_mixture(EVERYTHING, tmp_path_factory.mktemp("mixture"), Silent())


def test_files_say_what_is_known_and_no_more(everything: MixtureResult) -> None:
    extracted, truth = (read_star(path)["particles"] for path in (everything.particles_star, everything.truth_star))
    assert not any(label.startswith(("rlnAngle", "rlnOrigin", "rlnSimulated")) for label in extracted.columns)
    assert all((extracted[label] == truth[label]).all() for label in extracted.columns)
    assert (truth["rlnSimulatedKind"].value_counts() == 10).all() and set(truth["rlnSimulatedKind"]) == set(KINDS)
    assert ((truth["rlnSimulatedIsParticle"] == 1) == truth["rlnSimulatedKind"].isin(PARTICLE_KINDS)).all()
    known = truth["rlnSimulatedKind"].isin([*PARTICLE_KINDS, "broken", "denatured"])
    assert ((truth["rlnSimulatedMap"] > 0) == known).all()
    assert (truth["rlnSimulatedMap"] == 2).sum() == round(0.3 * known.sum())
    assert ((truth["rlnSimulatedNeighbours"] > 0) == (truth["rlnSimulatedKind"] == NEIGHBOURS)).all()
    images, pixel = read_mrc(everything.particles_star.parent / "Particles/mixture.mrcs")
    assert images.shape == (180, 48, 48) and pixel == pytest.approx(4.0) and np.isfinite(images).all()
    for path, diameter in zip(everything.map_paths, everything.diameters, strict=True):
        volume, pixel = read_mrc(path)
        assert volume.shape == (48, 48, 48) and pixel == pytest.approx(4.0) and diameter < 192


def test_images_are_normalised_and_free_of_ramps(everything: MixtureResult) -> None:
    images, _ = read_mrc(everything.particles_star.parent / "Particles/mixture.mrcs")
    background = images.reshape(180, -1)[:, background_pixels(48)]
    assert np.abs(background.mean(axis=1)).max() < 1e-4 and np.abs(background.std(axis=1) - 1).max() < 1e-4
    axis = np.arange(48) - 23.5
    for slope in (np.tile(axis, 48), np.repeat(axis, 48)):
        assert np.abs(background @ slope[background_pixels(48)]).max() / (slope**2).sum() < 1e-4


def test_same_seed_same_files(everything: MixtureResult, tmp_path) -> None:
    again = simulate_mixture(EVERYTHING, tmp_path / "again", Silent())
    other = simulate_mixture(replace(EVERYTHING, seed=3), tmp_path / "other", Silent())
    stacks = [read_mrc(result.particles_star.parent / "Particles/mixture.mrcs")[0] for result in (everything, again, other)]
    assert np.array_equal(stacks[0], stacks[1]) and not np.array_equal(stacks[0], stacks[2])
    assert again.truth_star.read_text() == everything.truth_star.read_text()


def test_clean_image_is_the_projection_of_the_map_at_the_true_pose(tmp_path) -> None:
    spec = replace(SPEC, kinds={INTACT: 1, OFF_CENTRE: 1}, defocus_error=0.15, snr=0.3, n_particles=40)
    result = simulate_mixture(spec, tmp_path, Silent())
    clean = maker_of(spec).clean(0, 40)[0]
    truth, volume = read_star(result.truth_star)["particles"], read_mrc(result.map_paths[0])[0]
    matrices = euler_to_matrix(*(truth[f"rlnAngle{name}"].to_numpy(float) for name in ("Rot", "Tilt", "Psi")))
    places = -truth[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy(float) / 4.0
    u, v, angle, contrast = (truth[f"rln{name}"].to_numpy(float) for name in
                             ("SimulatedDefocusU", "SimulatedDefocusV", "DefocusAngle", "SimulatedContrast"))  # fmt: skip
    one = np.ones(40)
    ctf = CtfParameters(u, v, angle, 300 * one, 2.7 * one, 0.1 * one, 0 * one, 0 * one, one)
    # in a box of twice the size, as nothing may come back on the other side
    half = image_to_half(np.pad(project_volume(volume, matrices), [(0, 0), (24, 24), (24, 24)])) * place_phases(places, 96)
    ky, kx = (k.ravel() / (96 * 4.0) for k in half_frequencies(96))
    half *= evaluate_ctf(kx, ky, ctf).reshape(half.shape)
    expected = contrast[:, None, None] * half_to_image(half, 96)[:, 24:-24, 24:-24]
    for image, model in zip(clean, expected, strict=True):
        assert np.corrcoef(image.ravel(), model.ravel())[0, 1] > 0.99
        assert (image * model).sum() / (model * model).sum() == pytest.approx(1, abs=0.05)
    believed = truth["rlnDefocusU"].to_numpy(float)
    assert np.allclose(believed / u, 1.15, atol=1e-4)


def test_signal_to_noise_ratio_is_the_one_asked_for() -> None:
    spec = replace(SPEC, snr=0.07, pick_error=0.0, contrast_sd=0.0)
    maker = maker_of(spec)
    clean = maker.clean(0, 100)[0]
    axis = np.arange(48) - 24
    disc = axis[:, None] ** 2 + axis**2 <= (source_diameter(SOURCE) / 4.0 / 2) ** 2
    assert clean[:, disc].var(axis=1).mean() == pytest.approx(0.07, rel=0.02)
    empty = maker_of(replace(spec, kinds={"empty": 1.0}, n_particles=ROWS_AT_ONCE))
    noise = empty.make(0, ROWS_AT_ONCE)
    assert not empty.clean(0, ROWS_AT_ONCE)[0].any()
    assert noise.var() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_structure_of_the_ice_has_its_share_of_the_noise_and_rises_to_low_frequency(share: float) -> None:
    spec = replace(SPEC, kinds={"empty": 1.0}, n_particles=ROWS_AT_ONCE, structural_noise=share)
    noise = maker_of(spec).make(0, ROWS_AT_ONCE)
    assert noise.var() == pytest.approx(1, abs=0.01)
    power = (np.abs(image_to_half(noise)) ** 2).mean(axis=0) * 48 * 48  # white noise: 1
    high, low = power[20:28, 20:24].mean(), power[:2, 3:7].mean()
    assert (1 - share) * 0.95 < high < 1 - share + 0.45 * share + 0.05
    assert share == 0 or low > 1.2 * high


def test_shares_are_dealt_exactly() -> None:
    cards = deal({"a": 0.5, "b": 0.3, "c": 0.2, "d": 0.0}, 1001, np.random.default_rng(0))
    assert {name: int((cards == name).sum()) for name in "abcd"} == {"a": 501, "b": 300, "c": 200, "d": 0}
    assert (cards[:500] == "a").mean() == pytest.approx(0.5, abs=0.1)
    assert list(np.bincount(deal([1.0, 3.0], 8, np.random.default_rng(0)))) == [2, 6]


def test_off_centre_particles_are_off_by_a_fifth_to_half_of_their_diameter() -> None:
    spec = replace(SPEC, kinds={OFF_CENTRE: 1, INTACT: 1}, pick_error=0.0, n_particles=600)
    plan = make_mixture_plan(spec, make_maps(spec))
    offset = np.linalg.norm(plan.places, axis=1) * 4.0 / source_diameter(SOURCE)
    off = plan.kinds == OFF_CENTRE
    assert not offset[~off].any()
    assert offset[off].min() > 0.2 and offset[off].max() < 0.5 and offset[off].mean() == pytest.approx(0.35, abs=0.02)


def test_dense_packing_puts_neighbours_into_every_box() -> None:
    spec = replace(SPEC, neighbours=(2, 6), kinds={INTACT: 0.8, "empty": 0.2}, n_particles=300)
    plan = make_mixture_plan(spec, make_maps(spec))
    particle = plan.kinds == INTACT
    assert plan.neighbours[particle].min() >= 2 and plan.neighbours[particle].max() <= 6 and not plan.neighbours[~particle].any()
    molecules = plan.molecules
    away = np.linalg.norm(molecules.places - plan.places[molecules.owner], axis=1) * 4.0 / source_diameter(SOURCE)
    beside = away > 1e-9
    assert beside.sum() == plan.neighbours.sum() and away[beside].min() > 0.899 and away[beside].max() < 1.301


def test_preferred_views_have_the_concentration_asked_for() -> None:
    matrices = orientations(6000, 8.0, 1, np.random.default_rng(0))
    assert np.allclose(matrices @ matrices.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    length = np.linalg.norm(matrices[:, 2].mean(axis=0))
    assert length == pytest.approx(1 / np.tanh(8.0) - 1 / 8.0, abs=0.01)
    free = orientations(6000, 0.0, 1, np.random.default_rng(0))
    assert np.linalg.norm(free[:, 2].mean(axis=0)) < 0.05


def test_every_projected_kind_shows_what_it_says() -> None:
    kinds = (INTACT, NEIGHBOURS, "aggregate", "broken", "denatured", "micelle", "nanodisc")
    spec = replace(SPEC, sources=((SOURCE, 1.0),), kinds=dict.fromkeys(kinds, 1.0), n_particles=210, snr=1.0, pick_error=0.0, contrast_sd=0)
    maps = make_maps(spec)
    whole = maps.volumes[0]
    for volume in (maps.volumes[i] for i in maps.variants["broken", 1]):
        assert 0.25 < volume.clip(min=0).sum() / whole.clip(min=0).sum() < 0.85
    blurred = maps.volumes[maps.variants["denatured", 1][0]]
    detail = np.abs(image_to_half(np.stack([blurred.sum(axis=0), whole.sum(axis=0)])))
    assert detail[0, 0, 10:].max() < 0.01 * detail[1, 0, 10:].max()  # finer than 19 A
    assert np.allclose(detail[0, 0, :4], detail[1, 0, :4], rtol=0.05)
    plan = make_mixture_plan(spec, maps)
    maker = prepare_mixture_images(spec, plan, maps)
    clean = np.concatenate([maker.clean(start, min(ROWS_AT_ONCE, 210 - start))[0] for start in range(0, 210, ROWS_AT_ONCE)])
    energy = {kind: (clean[plan.kinds == kind] ** 2).mean() for kind in kinds}
    assert energy["aggregate"] > 1.5 * energy[INTACT] > 1.5 * 1.2 * energy["broken"]
    rim = clean.reshape(210, -1)[:, background_pixels(48)].var(axis=1)
    assert rim[plan.kinds == NEIGHBOURS].mean() > 3 * rim[plan.kinds == INTACT].mean()
    assert all(0.02 < energy[kind] / energy[INTACT] < 3 for kind in ("micelle", "nanodisc", "denatured"))


def test_hot_pixels_stand_out_and_only_there(everything: MixtureResult) -> None:
    images, _ = read_mrc(everything.particles_star.parent / "Particles/mixture.mrcs")
    kinds = read_star(everything.truth_star)["particles"]["rlnSimulatedKind"].to_numpy()
    highest = images.max(axis=(1, 2))
    assert highest[kinds == "hot_pixels"].min() > 7 and highest[kinds == "empty"].max() < 6
    counts = (images[kinds == "hot_pixels"] > 6).sum(axis=(1, 2))
    assert counts.min() >= 1 and counts.max() <= 5


def test_cut_removes_the_share_asked_for() -> None:
    axis = np.arange(32) - 16
    ball = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 < 100).astype(np.float32)
    for share in (0.2, 0.7):
        assert cut_volume(ball, share, np.random.default_rng(0)).sum() / ball.sum() == pytest.approx(1 - share, abs=0.05)


def test_ramps_of_the_background_are_subtracted_and_nothing_else() -> None:
    axis = np.arange(32) / 32 - 0.5
    plane = 3 + 2 * axis[:, None] - 5 * axis
    image = np.zeros((32, 32))
    image[12:20, 12:20] = 7
    assert np.allclose(subtract_ramps((plane + image)[None].astype(np.float32))[0], image, atol=1e-4)


def test_sources_may_be_maps_structures_and_conformations(tmp_path, shared_data) -> None:
    axis = np.arange(32) - 16
    ball = np.exp(-0.5 * (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) / 16.0).astype(np.float32)
    write_volume(tmp_path / "ball.mrc", 1e3 * ball, 5.0)
    structure = str(shared_data / "models/6n4b_CB1_Gi.pdb.gz")
    sources = ((str(tmp_path / "ball.mrc"), 1.0), (structure, 1.0), ("pseudo:17:1", 1.0))
    maps = make_maps(replace(SPEC, sources=sources, pixel_size=5.0, belt=True))
    assert maps.n_maps == 3 and all(np.isfinite(volume).all() and volume.max() > 0 for volume in maps.volumes)
    assert maps.diameters[1] > source_diameter(structure)  # with its belt
    heaviest = [np.sort(volume, axis=None)[-500:].mean() for volume in maps.volumes]
    assert max(heaviest) < 4 * min(heaviest)  # whatever the grey values of the file
    assert pseudo_numbers("pseudo:17:1") == (17, 1) and pseudo_numbers("pseudo:17") == (17, 0) and pseudo_numbers("pseudo:a") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kinds": {"dust": 1.0}}, "kinds"),
        ({"kinds": {INTACT: 0.0}}, "kinds"),
        ({"sources": ()}, "sources"),
        ({"sources": (("pseudo:x", 1.0),)}, "neither"),
        ({"sources": (("pseudo:1", 1.0), ("pseudo:1", 1.0))}, "twice"),
        ({"neighbours": (3, 2)}, "neighbours"),
        ({"snr": 0.0}, "snr"),
        ({"box_size": 47}, "box_size"),
        ({"pixel_size": 1.0}, "raise box_size"),
        ({"structural_noise": 1.2}, "structural_noise"),
    ],
)
def test_bad_values_are_named(change: dict, message: str, tmp_path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        simulate_mixture(replace(SPEC, pick_error=1.0, **change), tmp_path / "out", Silent())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
