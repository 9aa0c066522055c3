"""Optics groups: a real session, clusters of any scale, and numbers that stay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relion4plugin.acquisition.epu_image import read_epu_image
from relion4plugin.acquisition.optics_groups import GroupModel, describe, fit_groups, group_name, group_sizes
from relion4plugin.errors import UserError


@pytest.fixture(scope="module")
def real(shared_data):
    folder = shared_data / "acquisition" / "epu_falcon3_afis"
    paths = sorted(path for path in folder.rglob("*.xml") if "_Fractions" not in path.name)
    return np.array([read_epu_image(path).get("beam_shift") for path in paths]), [path.name for path in paths]


def _grid(rng, positions, shots, members, noise=0.002):
    """Positions of holes on a lattice with shots around each; members in random order. Returns points and truth."""
    holes = np.stack(np.meshgrid(np.arange(positions), np.arange(positions)), -1).reshape(-1, 2) * 0.1
    around = 0.03 * np.array([(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, shots, endpoint=False)])
    centres = (holes[:, None] + around[None]).reshape(-1, 2)
    truth = rng.permutation(np.repeat(np.arange(len(centres)), members))
    return centres[truth] + rng.normal(0, noise, (len(truth), 2)), truth


def _same_partition(one, other):
    return len(set(zip(one.tolist(), other.tolist(), strict=True))) == len(set(one.tolist())) == len(set(other.tolist()))


def test_real_session_has_27_groups_of_3(real):
    points, names = real
    groups, model = fit_groups(points)
    assert group_sizes(groups) == (3,) * 27
    assert model.ratio == pytest.approx(3.51, abs=0.01)
    assert model.intra == pytest.approx(0.0046, abs=1e-4)
    assert model.inter == pytest.approx(0.027, abs=5e-4)
    # Members of a group are the same shot of holes.
    templates = np.array([int(name.split("_")[3]) for name in names])
    assert all(len(set(templates[groups == group])) == 1 for group in range(27))


def test_numbers_follow_the_order_of_acquisition(real):
    groups, _ = fit_groups(real[0])
    assert list(dict.fromkeys(groups.tolist())) == list(range(27))


@settings(max_examples=20)
@given(st.integers(2, 4), st.integers(2, 4), st.integers(3, 12), st.floats(1e-9, 1e6), st.integers(0, 1000))
def test_clusters_of_any_scale(positions, shots, members, scale, seed):
    points, truth = _grid(np.random.default_rng(seed), positions, shots, members)
    groups, _ = fit_groups(points * scale)
    assert _same_partition(groups, truth)


def test_many_movies_are_quick_and_right(rng):
    points, truth = _grid(rng, 3, 3, 300)
    groups, model = fit_groups(points)
    assert _same_partition(groups, truth)
    assert model.frozen


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_movies_are_one_group(n, rng):
    groups, model = fit_groups(rng.normal(size=(n, 2)) * 1e-3)
    assert set(groups.tolist()) <= {0}
    assert len(model) == 1


def test_one_position_is_one_group(rng):
    assert set(fit_groups(rng.normal(size=(300, 2)))[0].tolist()) == {0}
    assert set(fit_groups(np.ones((50, 2)))[0].tolist()) == {0}


def test_other_methods(real):
    points, _ = real
    assert len(set(fit_groups(points, "count", count=27)[0].tolist())) == 27
    assert len(set(fit_groups(points, "count", count=1)[0].tolist())) == 1
    assert len(set(fit_groups(points, "distance", distance=0.012)[0].tolist())) == 27
    assert len(set(fit_groups(points, "distance", distance=10.0)[0].tolist())) == 1
    assert set(fit_groups(points, "none")[0].tolist()) == {0}
    for arguments in (("distance",), ("count",), ("magic",)):
        with pytest.raises(UserError):
            fit_groups(points, *arguments)


def test_later_movies_never_change_numbers(rng):
    points, _ = _grid(rng, 3, 3, 10)
    first, model = fit_groups(points)
    again, same = model.assign(points)
    assert (again == first).all() and same == model
    later, model = model.assign(np.concatenate([points[:50], [[5.0, 5.0], [5.0001, 5.0], [-5.0, 0.0]]]))
    assert (later[:50] == first[:50]).all()
    assert later[50:].tolist() == [27, 27, 28]
    assert (model.assign(points)[0] == first).all()


def test_points_in_any_batches_get_the_same_groups(rng):
    points, _ = _grid(rng, 3, 3, 20)
    _, model = fit_groups(points[:300])
    whole, _ = model.assign(points)
    parts, growing = [], model
    for start in range(0, len(points), 37):
        groups, growing = growing.assign(points[start : start + 37])
        parts.append(groups)
    assert (np.concatenate(parts) == whole).all()


def test_model_round_trip(real):
    groups, model = fit_groups(real[0])
    again = GroupModel.from_json(model.to_json())
    assert again == model
    assert (again.assign(real[0])[0] == groups).all()
    for text in ("", "{}", '{"method": 1, "centres": [[1]], "labels": []}', "[]"):
        with pytest.raises(UserError, match="optics groups"):
            GroupModel.from_json(text)


def test_groups_by_label_are_appended():
    first, model = GroupModel("name").assign_labels(["b", "a", "b"])
    later, _ = model.assign_labels(["c", "a"])
    assert (first.tolist(), later.tolist()) == ([0, 1, 0], [2, 1])


def test_names_are_those_that_relion_takes(real):
    assert group_name(0) == "opticsGroup1"
    assert all(group_name(number).isalnum() for number in range(100))
    groups, model = fit_groups(real[0])
    assert describe(model, groups)["groups"] == 27
