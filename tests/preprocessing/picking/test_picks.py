import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.preprocessing.picking.agreement import Agreement, agreement, matches
from relion4plugin.preprocessing.picking.overlay import draw_overlay, write_picture
from relion4plugin.preprocessing.picking.picks import make_picks, read_picks, write_picks


def test_picks_survive_the_file_best_first(tmp_path):
    picks = make_picks(np.array([1.5, 20.25]), np.array([3.0, 4.0]), np.array([0.5, 7.25]), 100.0)
    assert picks.score.tolist() == [7.25, 0.5]
    write_picks(tmp_path / "a" / "m_autopick.star", picks)
    again = read_picks(tmp_path / "a" / "m_autopick.star")
    np.testing.assert_allclose(again.centres, picks.centres)
    np.testing.assert_allclose(again.score, picks.score)
    table = read_star(tmp_path / "a" / "m_autopick.star")[""]
    assert list(table.columns) == ["rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnClassNumber", "rlnAnglePsi"]


def test_no_picks_are_a_table_without_rows(tmp_path):
    write_picks(tmp_path / "m.star", make_picks(np.empty(0), np.empty(0), np.empty(0)))
    assert len(read_picks(tmp_path / "m.star")) == 0


@pytest.mark.parametrize("name", ["relion31_tutorial_bgal/AutoPick/job006", "relion31_tutorial_bgal/AutoPick/job011"])
def test_picks_of_relion_are_read(shared_data, name):
    path = shared_data / "star" / name / "Movies" / "20170629_00021_frameImage_autopick.star"
    picks = read_picks(path)
    assert len(picks) > 200
    assert (np.diff(picks.score) <= 0).all()


def test_what_are_no_picks_is_said(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_picks(tmp_path / "none.star")
    (tmp_path / "p.star").write_text("data_\n\nloop_\n_rlnCoordinateX #1\n1.0\n")
    with pytest.raises(UserError, match="expected a table with the columns"):
        read_picks(tmp_path / "p.star")


def test_each_particle_is_matched_once():
    truth = np.array([[0.0, 0.0], [10.0, 0.0]])
    picks = np.array([[4.0, 0.0], [1.0, 0.0], [2.0, 0.0], [50.0, 50.0]])
    found = agreement(picks, truth, 7.0)  # the greedy choice of the nearest would leave the second particle without a pick
    assert (found.n_picks, found.n_true, found.n_matched) == (4, 2, 2)
    assert (found.precision, found.recall) == (0.5, 1.0)
    assert matches(picks, truth, 7.0)[3] == -1


def test_agreement_of_nothing():
    empty = np.empty((0, 2))
    assert agreement(empty, empty, 5.0).f1 == 1.0
    assert agreement(empty, np.ones((3, 2)), 5.0).recall == 0.0
    assert agreement(np.ones((3, 2)), empty, 5.0).precision == 0.0
    assert Agreement(1, 2, 1) + Agreement(3, 4, 2) == Agreement(4, 6, 3)


def test_an_overlay_shows_right_and_wrong_picks(tmp_path, rng):
    image = rng.normal(size=(200, 300)).astype(np.float32)
    picks = make_picks(np.array([60.0, 200.0]), np.array([50.0, 120.0]), np.ones(2))
    truth = make_picks(np.array([62.0, 120.0]), np.array([50.0, 160.0]), np.zeros(2))
    picture = draw_overlay(image, 5.0, picks, 100.0, truth, width=300)
    assert picture.shape == (200, 300, 3)
    assert tuple(picture[40, 60]) == (60, 220, 60)
    assert tuple(picture[110, 200]) == (255, 70, 70)
    assert tuple(picture[150, 120]) == (255, 200, 0)
    write_picture(tmp_path / "m.png", picture)
    write_picture(tmp_path / "m.jpg", picture)
    assert (tmp_path / "m.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "m.jpg").read_bytes()[:2] == b"\xff\xd8"
