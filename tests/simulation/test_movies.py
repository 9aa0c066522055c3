"""Simulated sessions on disk, as other readers find them."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.gain import read_gain
from relion4plugin.files.movies import open_movie, read_movie_header
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.progress import Silent
from relion4plugin.simulation.epu_session import SESSION
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.movies import MoviesResult, prepare_session, simulate_movies

SMALL = MovieSpec(n_movies=2, width=128, height=96, n_frames=3, pixel_size=4.0, n_particles=5, dose_per_frame=0.5)


def frames_of(result: MoviesResult, movie: int, grouping: int = 1) -> np.ndarray:
    with open_movie(result.movies[movie], eer_grouping=grouping) as reader:
        return np.stack([reader.read(frame) for frame in range(reader.header.n_frames)])


@pytest.mark.parametrize("file_format", ["tiff", "mrc"])
def test_movies_hold_the_counts_and_their_gain_corrects_them(tmp_path: Path, file_format: str) -> None:
    spec = replace(SMALL, file_format=file_format, gain_spread=0.15, dead_columns=1)
    result = simulate_movies(spec, tmp_path, Silent())
    header = read_movie_header(result.movies[0])
    assert (header.n_frames, header.shape, header.pixel_size) == (3, (96, 128), pytest.approx(4.0))
    session = prepare_session(spec)
    assert np.array_equal(frames_of(result, 1), np.stack(list(session.frames(session.plan(1)).frames())))
    gain = read_gain(result.gain, 0, 0, header)
    assert np.array_equal(gain, session.camera.gain)
    for line in result.defects.read_text().splitlines():
        x, y, width, height = (int(word) for word in line.split())
        assert (gain[y : y + height, x : x + width] == 0).all()


def test_eer_movies_and_their_gain(tmp_path: Path) -> None:
    spec = replace(SMALL, file_format="eer", layout="epu", n_movies=1, dose_per_frame=0.05, eer_frames=10, hot_pixels=0.0, gain_spread=0.2)
    spec = replace(spec, width=256, height=256, n_frames=30, junk_fraction=0.0)
    result = simulate_movies(spec, tmp_path, Silent())
    header = read_movie_header(result.movies[0], eer_grouping=10)
    assert (header.n_frames, header.n_hardware_frames) == (30, 300)
    frames = frames_of(result, 0, 10)
    assert frames.mean() == pytest.approx(0.05 * 16 * 0.9, rel=0.15)  # ice takes a tenth, coincidence some percent
    gain = read_gain(result.gain, 0, 0, header)
    total = frames.sum(axis=0)
    assert np.corrcoef(total[gain > 0], 1 / gain[gain > 0])[0, 1] > 0.5
    assert result.gain.name in result.movies[0].with_name(result.movies[0].name.replace("_EER.eer", ".xml")).read_text()


def test_the_same_seed_gives_the_same_files_in_any_order(tmp_path: Path) -> None:
    first = simulate_movies(SMALL, tmp_path / "a", Silent())
    second = simulate_movies(replace(SMALL, n_movies=5, shuffled=True), tmp_path / "b", Silent())
    other = simulate_movies(replace(SMALL, seed=1), tmp_path / "c", Silent())
    for movie in range(2):
        assert np.array_equal(frames_of(first, movie), frames_of(second, movie))
        assert first.truths[movie].read_text() == second.truths[movie].read_text()
    assert not np.array_equal(frames_of(first, 0), frames_of(other, 0))
    assert [path.name for path in second.movies] == [f"movie_{number:05d}.tiff" for number in range(1, 6)]


def test_truth_tables(tmp_path: Path) -> None:
    spec = replace(SMALL, n_optics_groups=2, n_particles=8, spacing=0.5)
    result = simulate_movies(spec, tmp_path, Silent())
    plan = prepare_session(spec).plan(1)
    truth = read_star(result.truths[1])
    assert truth["general"]["rlnDefocusU"] == pytest.approx(plan.ctf.defocus_u[0], rel=1e-6)
    whole = truth["whole_motion"][["rlnSimulatedMotionX", "rlnSimulatedMotionY"]].to_numpy()
    assert whole == pytest.approx(plan.motion.whole, abs=1e-5)
    particles, local = truth["particles"], truth["local_motion"]
    places = particles[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy()
    assert places == pytest.approx(plan.places[plan.in_frame], abs=1e-4)
    third = local[local["rlnMicrographFrameNumber"] == 3]
    assert third["rlnSimulatedItem"].tolist() == list(range(1, len(particles) + 1))
    moved = third[["rlnSimulatedMotionX", "rlnSimulatedMotionY"]].to_numpy()
    assert moved == pytest.approx(plan.motion.local(places)[2], abs=1e-4)

    session = read_star(result.truth_star)
    assert session["movies"]["rlnMicrographMovieName"].tolist() == ["Movies/movie_00001.tiff", "Movies/movie_00002.tiff"]
    assert session["movies"]["rlnOpticsGroup"].tolist() == [1, 2]
    assert len(session["particles"]) == sum(len(read_star(path)["particles"]) for path in result.truths)
    assert session["particles"]["rlnSimulatedIsParticle"].sum() == session["movies"]["rlnSimulatedNumberOfParticles"].sum()
    listed = read_star(result.movies_star)
    assert listed["optics"]["rlnMicrographOriginalPixelSize"].tolist() == [4.0, 4.0]
    assert all((tmp_path / name).is_file() for name in listed["movies"]["rlnMicrographMovieName"])
    assert read_mrc(tmp_path / "Truth/map001.mrc")[1] == pytest.approx(4.0)


def local_names(root: ElementTree.Element) -> dict[str, list[ElementTree.Element]]:
    found: dict[str, list[ElementTree.Element]] = {}
    for element in root.iter():
        found.setdefault(element.tag.rpartition("}")[2], []).append(element)
    return found


def custom_values(root: ElementTree.Element) -> dict[str, str]:
    pairs = local_names(root)["KeyValueOfstringanyType"]
    return {pair[0].text or "": pair[1].text or "" for pair in pairs}


def test_epu_metadata_say_what_was_simulated(tmp_path: Path) -> None:
    spec = replace(SMALL, layout="epu", n_movies=6, n_optics_groups=3, super_resolution=True, mtf_nyquist=0.5, phase_shift=60.0)
    result = simulate_movies(spec, tmp_path, Silent())
    name = result.movies[4].relative_to(tmp_path).as_posix()
    assert name == "Images-Disc1/GridSquare_8999138/Data/FoilHole_9015887_Data_9017347_1_20240506_090120_fractions.tiff"
    shifts = []
    for movie in result.movies:
        root = ElementTree.parse(movie.with_name(movie.name.replace("_fractions.tiff", ".xml"))).getroot()
        named, custom = local_names(root), custom_values(root)
        assert root.tag == "{http://schemas.datacontract.org/2004/07/Fei.SharedObjects}MicroscopeImage"
        assert float(named["numericValue"][-1].text or 0) == pytest.approx(4e-10)
        assert float(custom["Dose"]) * 1e-20 == pytest.approx(1.5)
        assert float(custom["DoseOnCamera"]) == pytest.approx(1.5 * 16)
        assert (custom["SuperResolutionFactor"], custom["ElectronCountingEnabled"], custom["PhasePlateUsed"]) == ("2", "true", "true")
        assert named["NumberOffractions"][0].text == "3"
        assert float(named["AccelerationVoltage"][0].text or 0) == 300000
        assert (named["width"][0].text, named["height"][0].text) == ("64", "48")
        shifts.append([float(part.text or 0) for part in named["BeamShift"][0]])
        when = datetime.fromisoformat((named["acquisitionDateTime"][0].text or "")[:19])
        assert when.strftime("%Y%m%d_%H%M%S") in movie.name
    groups = read_star(result.movies_star)["movies"]["rlnOpticsGroup"].to_numpy()
    apart = np.linalg.norm(np.array(shifts)[:, None] - np.array(shifts), axis=-1)
    same = groups[:, None] == groups
    assert apart[same].max() < 0.008 < 0.04 < apart[~same].min()
    truth = read_star(result.truth_star)["movies"]
    assert -float(custom["AppliedDefocus"]) * 1e10 == pytest.approx(truth["rlnDefocusU"].iloc[-1], abs=500)
    session = local_names(ElementTree.parse(tmp_path / "EpuSession.dm").getroot())
    assert session["ClusteringMode"][0].text == "ClusteringWithImageBeamShift"
    assert session["Name"][0].text == tmp_path.name
    assert read_star(tmp_path / "mtf.star")["mtf"]["rlnMtfValue"].iloc[25] == pytest.approx(0.5)


def tag_paths(element: ElementTree.Element, above: str = "") -> set[str]:
    here = f"{above}/{element.tag}"
    return {here}.union(*(tag_paths(child, here) for child in element))


def test_epu_metadata_have_the_elements_of_real_files(tmp_path: Path, shared_data: Path) -> None:
    real = shared_data / "acquisition" / "epu_k3_session"
    example = next(real.glob("Images-Disc1/*/Data/*.xml"))
    result = simulate_movies(replace(SMALL, n_movies=1, layout="epu"), tmp_path, Silent())
    made = next(result.movies[0].parent.glob("*.xml"))
    known, ours = (ElementTree.parse(path).getroot() for path in (example, made))
    assert tag_paths(ours) <= tag_paths(known)
    assert set(custom_values(ours)) - set(custom_values(known)) <= {"Detectors[EF-CCD].ExposureTime", "EnableCompression"}
    known, ours = (ElementTree.parse(folder / "EpuSession.dm").getroot() for folder in (real, tmp_path))
    assert {path.rpartition("/")[2] for path in tag_paths(ours)} - {path.rpartition("/")[2] for path in tag_paths(known)} <= {
        f"{{{SESSION}}}TiltAngle",
    }


def test_a_session_in_real_time_writes_growing_files(tmp_path: Path) -> None:
    waits: list[tuple[float, int]] = []

    def wait(seconds: float) -> None:
        waits.append((seconds, sum(path.stat().st_size for path in tmp_path.glob("Movies/*.tiff"))))

    spec = replace(SMALL, interval=30.0, half_written=True)
    result = simulate_movies(spec, tmp_path, Silent(), wait)
    sizes = [path.stat().st_size for path in result.movies]
    assert [seconds for seconds, _ in waits] == [15.0, pytest.approx(30.0, abs=10.0), 15.0]
    assert [size for _, size in waits] == [sizes[0] // 2, sizes[0], sizes[0] + sizes[1] // 2]
    whole = simulate_movies(SMALL, tmp_path / "at_once", Silent())
    assert [path.read_bytes() for path in result.movies] == [path.read_bytes() for path in whole.movies]
    assert not (tmp_path / ".incoming").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"):
        simulate_movies(SMALL, tmp_path / "file", Silent())
