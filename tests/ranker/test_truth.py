"""Classes measured against the truth: cases whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.ranker.truth import class_targets, class_truth, particle_truth
from tests.ranker import known_classes as kc


@pytest.fixture(scope="module")
def known():
    return kc.known_run()


def measured(known, **changes):
    truth = particle_truth(known.truth, known.run.data.table["rlnImageName"])
    return class_truth(known.run, replace(truth, **changes), [known.volume])


def test_perfect_classes_are_excellent(known):
    found = measured(known)
    assert (found.q > 0.95).all()
    assert (found.category == 1).all()
    assert (found.d_true < 12.0).all()
    np.testing.assert_allclose(found.purity, 1.0)
    assert (found.offset < 0.02).all()
    assert (found.contamination < 0.05).all()
    target, score = class_targets(known.run, found, 1.0)
    np.testing.assert_allclose(target, score * (0.75 + 0.25), rtol=0.02)


def test_the_match_is_the_projection_that_was_averaged(known):
    found = measured(known)
    for image, match in zip(known.run.classes, found.matches, strict=True):
        assert np.corrcoef(image.ravel(), match.ravel())[0, 1] > 0.99


def test_a_wrong_sign_of_the_angle_is_seen(known):
    far = (np.abs(known.run.psi) > 20.0) & (np.abs(known.run.psi) < 160.0)  # with the other sign more than 40 degrees off
    run = replace(known.run, class_number=np.where(far, known.run.class_number, 0))
    right, wrong = (measured(replace(known, run=replace(run, psi=psi))) for psi in (run.psi, -run.psi))
    assert (wrong.correlation < right.correlation - 0.05).all()


def test_shuffled_members_show_nothing(known, rng):
    shuffled = replace(known, run=replace(known.run, classes=rng.standard_normal(known.run.classes.shape).astype(np.float32)))
    found = measured(shuffled)
    assert (found.q < 0.12).all()
    assert class_targets(shuffled.run, found, 1.0)[0].max() == 0.0


def test_mixed_views_cost_resolution(known):
    classes = known.run.classes.copy()
    classes[0] = classes.mean(axis=0)
    found = measured(known.with_classes(classes))
    assert found.d_true[0] > 1.3 * found.d_true[1:].max()
    assert found.q[0] < 0.7 * found.q[1:].min()


def test_an_off_centre_class_loses(known):
    run = known.run
    away = np.array([5.0, 3.0])  # px, in the frame of the class
    first = run.class_number == 1
    turn = np.asarray(euler_to_matrix(0 * run.psi, 0 * run.psi, run.psi))[:, :2, :2]
    origins = run.origins + np.where(first[:, None], (turn @ away) * kc.PIXEL, 0.0)
    matrix = np.asarray(euler_to_matrix(*[known.truth[f"rlnAngle{a}"].to_numpy()[:1] for a in ("Rot", "Tilt", "Psi")]))
    back = np.swapaxes(turn[:1], 1, 2)
    view = np.eye(3)[None].repeat(1, axis=0)
    view[:, :2, :2] = back
    classes = run.classes.copy()
    classes[:1] = kc.shown(known.volume, view @ matrix, away[None])
    found = measured(replace(known, run=replace(run, origins=origins, classes=classes)))
    assert found.offset[0] == pytest.approx(np.hypot(*away) * kc.PIXEL / kc.DIAMETER, abs=0.01)
    assert found.q[0] < 0.6
    assert found.q[1:].min() > 0.95
    assert found.correlation[0] > 0.95


def test_impure_classes_and_broken_particles(known):
    n = kc.EACH
    kinds = np.full(len(known.truth), "intact", dtype="<U8")
    genuine = np.ones(len(kinds), bool)
    numbers = np.ones(len(kinds), np.int64)
    kinds[: n // 2], genuine[: n // 2], numbers[: n // 2] = "empty", False, 0
    kinds[n : 2 * n], genuine[n : 2 * n] = "broken", False
    found = measured(known, kinds=kinds, genuine=genuine, map_number=numbers)
    np.testing.assert_allclose(found.purity, [0.5, 0.3, 1.0, 1.0])
    np.testing.assert_allclose(found.fractions["empty"], [0.5, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(found.fractions["broken"], [0.0, 1.0, 0.0, 0.0])
    assert 0.0 < found.q[0] < 0.6
    assert found.q[1] == 0.0  # no true member
    assert measured(known, kinds=kinds, genuine=genuine, map_number=numbers, known_share=0.5).purity[0] == 1.0


def test_a_second_protein_is_a_protein(known):
    """A class is judged by the map that most of its members show."""
    numbers = np.where(known.run.class_number == 1, 2, 1)
    truth = replace(particle_truth(known.truth, known.run.data.table["rlnImageName"]), map_number=numbers)
    found = class_truth(known.run, truth, [kc.blob_map(9), known.volume])
    np.testing.assert_array_equal(found.map_number, [2, 1, 1, 1])
    assert found.q[0] > 0.95
    assert found.correlation[0] > 0.99
    assert (found.correlation[1:] < 0.95).all()


def test_conformations_of_a_protein_are_one_protein(known):
    """A class of two conformations is pure, and is compared with the more frequent one."""
    numbers = np.where(np.arange(len(known.truth)) % 3 == 0, 1, 2)
    truth = replace(particle_truth(known.truth, known.run.data.table["rlnImageName"]), map_number=numbers)
    maps = [kc.blob_map(9), known.volume]
    alone, together = (class_truth(known.run, truth, maps, proteins=proteins) for proteins in ((1, 2), (1, 1)))
    np.testing.assert_array_equal(together.map_number, alone.map_number)
    np.testing.assert_array_equal(together.map_number, [2, 2, 2, 2])
    assert (alone.purity < 0.7).all()
    np.testing.assert_allclose(together.purity, 1.0)
    np.testing.assert_array_equal(together.true_members, together.members)
    np.testing.assert_allclose(together.correlation, alone.correlation)
    with pytest.raises(UserError, match="2 true maps are of 1 proteins"):
        class_truth(known.run, truth, maps, proteins=(1,))


def test_something_beside_the_particle_is_contamination(known):
    classes = known.run.classes.copy()
    classes[0, 9:13, 20:28] += 2.0 * classes[0].max()
    found = measured(known.with_classes(classes))
    assert found.contamination[0] > 0.5
    assert found.q[0] < 0.05


def test_nothing_but_junk_is_worth_nothing(known):
    n = len(known.truth)
    found = measured(known, kinds=np.full(n, "empty"), genuine=np.zeros(n, bool), map_number=np.zeros(n, np.int64))
    target, score = class_targets(known.run, found, 0.0)
    assert score == 0.0
    assert not target.any()
    assert not found.q.any()


def test_empty_classes_and_particles_without_class(known):
    numbers = known.run.class_number.copy()
    numbers[numbers == 1] = 0
    found = measured(replace(known, run=replace(known.run, class_number=numbers)))
    assert found.members[0] == 0
    assert found.q[0] == 0.0
    assert found.q[1:].min() > 0.95


def test_truth_in_another_order_and_folder(known):
    mixed = known.truth.iloc[::-1].assign(rlnImageName=lambda t: t["rlnImageName"].str.replace("@", "@Particles/"))
    truth = particle_truth(mixed, known.run.data.table["rlnImageName"])
    np.testing.assert_allclose(truth.origins[:, 0], known.truth["rlnOriginXAngst"])


def test_mistakes(known):
    with pytest.raises(UserError, match="30 particles of the run"):
        particle_truth(known.truth.iloc[kc.EACH :], known.run.data.table["rlnImageName"])
    with pytest.raises(UserError, match="voxels but the classes"):
        class_truth(known.run, particle_truth(known.truth, known.run.data.table["rlnImageName"]), [np.zeros((8, 8, 8), np.float32)])
