import dataclasses

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.particles import ParticleImages, make_particles, read_particles, write_particles
from relion4plugin.files.star import read_star, write_star

BOX = 8


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two stacks, a table of five particles and one of two optics groups, in a folder that is not the current one."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "project"
    folder.mkdir()
    images = np.random.default_rng(5).normal(size=(5, BOX, BOX)).astype(np.float32)
    write_stack(folder / "a.mrcs", images[:3], 2.0)
    write_stack(folder / "b.mrcs", images[3:], 2.0)
    table = pd.DataFrame(
        {
            "rlnImageName": ["000001@a.mrcs", "000002@b.mrcs", "000003@a.mrcs", "1@b.mrcs", "000002@a.mrcs"],
            "rlnMicrographName": ["0012"] * 5,
            "rlnDefocusU": [10000.0, 11000, 12000, 13000, 14000],
            "rlnOpticsGroup": [2, 7, 2, 7, 2],
        }
    )
    optics = pd.DataFrame(
        {
            "rlnOpticsGroup": [2, 7],
            "rlnOpticsGroupName": ["first", "second"],
            "rlnVoltage": [300.0, 200.0],
            "rlnSphericalAberration": [2.7, 1.4],
            "rlnAmplitudeContrast": [0.1, 0.07],
            "rlnImagePixelSize": [2.0, 2.5],
            "rlnImageSize": [BOX, BOX],
        }
    )
    return folder, table, optics, images[[0, 4, 2, 3, 1]]


def save(folder, table, optics):
    write_star(folder / "p.star", {"optics": optics, "particles": table} if optics is not None else {"particles": table})
    return folder / "p.star"


def test_reading_optics_addresses_and_images(project):
    folder, table, optics, images = project
    particles = read_particles(save(folder, table, optics))
    assert len(particles) == 5 and particles.box_size == BOX and particles.pixel_size == 2.0
    assert [group.number for group in particles.optics] == [2, 7]
    assert particles.optics[1].voltage == 200 and particles.optics[1].name == "second"
    assert particles.optics_index.tolist() == [0, 1, 0, 1, 0]
    assert particles.slice_index.tolist() == [0, 1, 2, 0, 1]
    assert particles.stack_paths == (folder / "a.mrcs", folder / "b.mrcs")
    rows = np.array([4, 1, 1, 0])
    read = ParticleImages(particles).read(rows)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, images[rows])
    assert ParticleImages(particles).read(np.array([], dtype=int)).shape == (0, BOX, BOX)


def test_current_folder_goes_first(project, tmp_path):
    folder, table, optics, _ = project
    write_stack(tmp_path / "a.mrcs", np.ones((3, BOX, BOX)), 2.0)
    particles = read_particles(save(folder, table, optics))
    assert particles.stack_paths == (tmp_path / "a.mrcs", folder / "b.mrcs")


def test_columns_and_selection(project):
    folder, table, optics, images = project
    particles = read_particles(save(folder, table, optics))
    np.testing.assert_array_equal(particles.column("rlnDefocusU"), table["rlnDefocusU"])
    np.testing.assert_array_equal(particles.column("rlnPhaseShift", 3.0), np.full(5, 3.0))
    some = particles.select(np.array([3, 0]))
    assert some.column("rlnDefocusU").tolist() == [13000, 10000]
    np.testing.assert_array_equal(ParticleImages(some).read(np.array([0, 1])), images[[3, 0]])
    assert len(particles.select(np.array([True, False, True, False, False]))) == 2
    more = particles.with_columns({"rlnClassNumber": np.arange(5), "rlnNormCorrection": 1.0})
    assert more.table["rlnClassNumber"].tolist() == [0, 1, 2, 3, 4] and "rlnClassNumber" not in particles.table
    moved = particles.with_columns({"rlnOpticsGroup": np.full(5, 7), "rlnImageName": table["rlnImageName"][::-1]})
    assert moved.optics_index.tolist() == [1] * 5 and moved.slice_index.tolist() == [1, 0, 2, 1, 0]
    with pytest.raises(UserError, match="no column rlnPhaseShift"):
        particles.column("rlnPhaseShift")
    with pytest.raises(UserError, match=r"particle 1 has rlnMicrographName 'x', expected a number"):
        particles.with_columns({"rlnMicrographName": ["x"] * 5}).column("rlnMicrographName")


def test_sets_are_frozen(project):
    folder, table, optics, _ = project
    particles = read_particles(save(folder, table, optics))
    with pytest.raises(dataclasses.FrozenInstanceError):
        particles.table = table


def test_writing_keeps_everything(project):
    folder, table, optics, _ = project
    particles = read_particles(save(folder, table, optics))
    write_particles(folder / "out.star", particles)
    assert (folder / "out.star").read_bytes() == (folder / "p.star").read_bytes()
    assert read_particles(folder / "out.star").table["rlnMicrographName"].tolist() == ["0012"] * 5


def test_missing_image_size_comes_from_the_stack(project):
    folder, table, optics, _ = project
    particles = read_particles(save(folder, table, optics.drop(columns="rlnImageSize")))
    assert [group.image_size for group in particles.optics] == [BOX, BOX]
    assert particles.optics_table["rlnImageSize"].tolist() == [BOX, BOX]


def test_higher_aberrations(project):
    folder, table, optics, _ = project
    optics = optics.assign(
        rlnOddZernike="[0.5,0,-1]", rlnEvenZernike="[1e-3,2]", rlnBeamTiltX=0.2, rlnMagMat00=1.01, rlnCtfDataAreCtfPremultiplied=1
    )
    group = read_particles(save(folder, table, optics)).optics[0]
    assert group.odd_zernike == (0.5, 0, -1) and group.even_zernike == (0.001, 2)
    assert group.beam_tilt_x == 0.2 and group.mag_matrix == (1.01, 0, 0, 1) and group.ctf_premultiplied


@pytest.mark.parametrize("name", ["", "images", "particles"])
def test_relion30_is_upgraded(project, name):
    folder, table, _, images = project
    old = table.drop(columns="rlnOpticsGroup").assign(
        rlnVoltage=[300.0, 200, 300, 200, 300],
        rlnSphericalAberration=2.7,
        rlnAmplitudeContrast=0.1,
        rlnMagnification=50000.0,
        rlnDetectorPixelSize=[10.0, 12.5, 10, 12.5, 10],
        rlnOriginX=[1.0, 2, 3, 4, 5],
        rlnOriginY=-1.0,
    )
    write_star(folder / "p.star", {name: old})
    particles = read_particles(folder / "p.star")
    assert [(group.voltage, group.pixel_size) for group in particles.optics] == [(300, 2.0), (200, 2.5)]
    assert particles.optics_index.tolist() == [0, 1, 0, 1, 0]
    np.testing.assert_allclose(particles.column("rlnOriginXAngst"), [2, 5, 6, 10, 10])
    np.testing.assert_allclose(particles.column("rlnOriginYAngst"), [-2, -2.5, -2, -2.5, -2])
    for label in ("rlnOriginX", "rlnVoltage", "rlnMagnification", "rlnDetectorPixelSize"):
        assert label not in particles.table
    np.testing.assert_array_equal(ParticleImages(particles).read(np.arange(5)), images)
    write_particles(folder / "new.star", particles)
    again = read_particles(folder / "new.star")
    assert again.optics == particles.optics and list(read_star(folder / "new.star")) == ["optics", "particles"]


BAD_TABLES = [
    (lambda t, o: (t.iloc[:0], o), "no data_particles table|no particles"),
    (lambda t, o: (t.drop(columns="rlnImageName"), o), "no column rlnImageName"),
    (lambda t, o: (t.drop(columns="rlnOpticsGroup"), o), "no column rlnOpticsGroup"),
    (lambda t, o: (t, None), "no data_optics table"),
    (lambda t, o: (t.drop(columns="rlnImageName"), None), "no particles in this file"),
    (lambda t, o: (t.assign(rlnVoltage=300.0, rlnSphericalAberration=2.7, rlnAmplitudeContrast=0.1), None), "no rlnDetectorPixelSize"),
    (lambda t, o: (t, o.drop(columns="rlnVoltage")), "data_optics has no column rlnVoltage"),
    (lambda t, o: (t, o.drop(columns="rlnSphericalAberration")), "data_optics has no column rlnSphericalAberration"),
    (lambda t, o: (t, o.drop(columns="rlnImagePixelSize")), "data_optics has no column rlnImagePixelSize"),
    (lambda t, o: (t, o.assign(rlnVoltage=["x", "y"])), "optics group 2 has rlnVoltage 'x', expected a number"),
    (lambda t, o: (t, o.assign(rlnImagePixelSize=0.0)), "rlnImagePixelSize 0, expected a positive"),
    (lambda t, o: (t, o.assign(rlnOddZernike="[a]")), "rlnOddZernike"),
    (lambda t, o: (t, o.assign(rlnOpticsGroup=2)), "group number twice"),
    (lambda t, o: (t.assign(rlnOpticsGroup=[2, 7, 3, 7, 2]), o), r"particle 3 is in optics group 3, but data_optics has \[2, 7\]"),
    (lambda t, o: (t.assign(rlnImageName="000000@a.mrcs"), o), "particle 1 has rlnImageName '000000@a.mrcs', expected '000001@"),
    (lambda t, o: (t.assign(rlnImageName="x@a.mrcs"), o), "particle 1 has rlnImageName"),
    (lambda t, o: (t.assign(rlnImageName="99999999999999999999@a.mrcs"), o), "particle 1 has rlnImageName"),
    (lambda t, o: (t.assign(rlnImageName="1@gone.mrcs"), o.drop(columns="rlnImageSize")), "gone.mrcs: no such file"),
]


@pytest.mark.parametrize(("change", "message"), BAD_TABLES)
def test_bad_tables(project, change, message):
    folder, table, optics, _ = project
    path = save(folder, *change(table, optics))
    with pytest.raises(UserError, match=message) as caught:
        read_particles(path)
    assert "\n" not in str(caught.value)


def test_old_file_without_microscope_constants(project):
    folder, table, _, _ = project
    write_star(folder / "p.star", {"": table.assign(rlnMagnification=50000, rlnDetectorPixelSize=10)})
    with pytest.raises(UserError, match="no column rlnVoltage to make one"):
        read_particles(folder / "p.star")


def test_missing_stack_names_file_and_particle(project):
    folder, table, optics, _ = project
    path = save(folder, table, optics)
    (folder / "b.mrcs").unlink()
    with pytest.raises(UserError, match=r"p\.star: particle 2 needs .*b\.mrcs, which does not exist"):
        ParticleImages(read_particles(path))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_name_the_image(project, value):
    folder, table, optics, images = project
    images[[1, 3]] = 1
    images[1, 2, 3] = value
    write_stack(folder / "b.mrcs", images[[3, 1]], 2.0)
    particles = read_particles(save(folder, table, optics))
    with pytest.raises(UserError, match=r"particle 2 \(000002@b\.mrcs\): the image has values that are not finite"):
        ParticleImages(particles).read(np.arange(5))
    ParticleImages(particles).read(np.array([0, 2, 3, 4]))


def test_box_differs_from_the_optics_table(project):
    folder, table, optics, _ = project
    particles = read_particles(save(folder, table, optics.assign(rlnImageSize=[BOX, 10])))
    with pytest.raises(UserError, match=r"particle 2 .* image of 8 px, but optics group 7 has rlnImageSize 10"):
        ParticleImages(particles).read(np.arange(5))


def test_tables_without_a_file(project):
    folder, table, optics, images = project
    particles = make_particles(table, optics, folder / "new.star")
    np.testing.assert_array_equal(ParticleImages(particles).read(np.arange(5)), images)


@pytest.mark.parametrize(
    ("name", "n", "groups", "pixel_size", "box"),
    [
        ("particles/aspire_sample/particles_relion30.star", 17, 2, 1.338, 200),
        ("particles/aspire_sample/particles_relion31.star", 17, 2, 1.4, 200),
        ("particles/cryodrgn_relion31_subparticles/particles.star", 5, 1, 2.806, 256),
        ("star/misc/optics_groups_6.star", 139, 6, 1.25, 196),
        ("star/misc/relion5_tilt.star", 17, 1, 0.89, 448),
        ("star/misc/scipion_particles.star", 10, 1, 3.0, 128),
        ("particles/bgal_empiar10204/particles.star", 2374, 1, 3.54, 64),
    ],
)
def test_real_files(shared_data, name, n, groups, pixel_size, box):
    particles = read_particles(shared_data / name)
    assert (len(particles), len(particles.optics), particles.pixel_size, particles.box_size) == (n, groups, pytest.approx(pixel_size), box)


def test_real_images_are_normalised(shared_data):
    """RELION's extraction makes the background mean 0 and its standard deviation 1."""
    particles = read_particles(shared_data / "particles/bgal_empiar10204/particles.star")
    images = ParticleImages(particles, max_open=3).read(np.arange(0, 2374, 50))
    y, x = np.mgrid[-32:32, -32:32]
    background = images[:, np.hypot(x, y) > 30]
    assert abs(background.mean()) < 0.1 and abs(background.std() - 1) < 0.1
