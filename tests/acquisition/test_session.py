"""Sessions: which there are, and what all their files say together."""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.movie_rows import movie_pattern
from relion4plugin.acquisition.record import AcquisitionRecord
from relion4plugin.acquisition.session import find_sessions, scan_session
from relion4plugin.errors import UserError
from relion4plugin.files.movies import read_movie_header
from tests.acquisition.samples import acquired, data_stem, epu_session, image_xml, pair_of, write


def _tree(listing: Path, root: Path) -> None:
    """Make the folders and empty files of a `tree` listing."""
    parts: list[str] = []
    lines = listing.read_text(encoding="utf-8").splitlines()[1:]
    entries = []
    for line in lines:
        match = re.match(r"^((?:[│ ]\s{3}|│\xa0\xa0 )*)[├└]── (.+)$", line)
        if match:
            entries.append((len(match[1]) // 4, match[2]))
    for number, (depth, name) in enumerate(entries):
        parts = [*parts[:depth], name]
        has_children = number + 1 < len(entries) and entries[number + 1][0] > depth
        path = root.joinpath(*parts)
        if has_children or "." not in name:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def test_kinds_of_the_sessions_of_a_real_visit(shared_data, tmp_path):
    _tree(next((shared_data / "acquisition" / "epu_tree").glob("*.txt")), tmp_path)
    kinds = {info.name: info.kind for info in find_sessions(tmp_path)}
    assert kinds == {
        "Supervisor_20250129_114842_73_bi37708-28_grid7_EPU": "screening",
        "Supervisor_20250129_134723_36_bi37708-28_grid7_EPU": "empty",  # its images were cut out of the listing
        "Supervisor_20250130_105058_11": "screening",
        "Supervisor_20250130_133418_68apoferritin": "screening",
        "Supervisor_20250130_143856_44Practice": "data",
        "Supervisor_20250130_145409_68": "empty",
        "Supervisor_20250130_145409_68practice2": "data",
        "Supervisor_20250130_150924_1grid3": "empty",
    }


def test_sessions_of_the_samples(shared_data):
    found = {info.name: (info.software, info.kind, info.counts["images"]) for info in find_sessions(shared_data / "acquisition")}
    assert found == {
        "epu_falcon3_afis": ("EPU", "data", 81), "epu_falcon4i_eer": ("EPU", "data", 2), "epu_k2": ("EPU", "data", 1),
        "epu_k3_session": ("EPU", "data", 2), "serialem": ("SerialEM", "data", 0),
    }  # fmt: skip


def test_a_session_itself_and_a_missing_folder(tmp_path):
    folder = epu_session(tmp_path, 3)
    (info,) = find_sessions(folder)
    assert (info.kind, info.first, info.last) == ("data", "2024-05-01T10:00:00", "2024-05-01T10:00:02")
    for call in (find_sessions, scan_session):
        with pytest.raises(UserError, match="nowhere"):
            call(tmp_path / "nowhere")


def test_folders_of_others_and_loops_are_no_error(tmp_path):
    epu_session(tmp_path, 1)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert len(find_sessions(tmp_path)) == 1


def test_optics_groups_of_the_real_session(shared_data):
    session = scan_session(shared_data / "acquisition" / "epu_falcon3_afis")
    names = session.movies["optics_group"]
    assert len(session.movies) == 81 and len(session.groups) == 27
    assert sorted(names.count(f"opticsGroup{k + 1}") for k in range(27)) == [3] * 27


def test_record_of_the_k3_session(shared_data):
    record = scan_session(shared_data / "acquisition" / "epu_k3_session").record
    assert record.get("movie_px_A") == pytest.approx(0.527941, abs=1e-6)
    assert record.get("gain_needed") is True
    assert record.values["gain_needed"].source == "EpuSession.dm"
    assert record.get("session") == "Supervisor_20250108_101446_62_cm40593-1_EPU"
    assert AcquisitionRecord.from_json(record.to_json()) == record
    assert record.conflicts == ()


def test_fractions_tell_what_was_recorded(shared_data):
    record = scan_session(shared_data / "acquisition" / "epu_falcon3_afis").record
    assert record.values["exposure_actual_s"].source == "fractions XML"
    assert record.get("exposure_actual_s") == pytest.approx(32.350056)
    assert (record.get("exposure_s"), record.get("gain_needed")) == (pytest.approx(33.394934), False)


def _movies(folder: Path, session: Path, ending="_fractions.tiff", frames=40, size=(48, 32), skip=()):
    """Write small TIFF movies for the images of a session."""
    import tifffile

    for xml in sorted(session.rglob("*_Data_*.xml")):
        if xml.stem not in skip:
            path = folder / xml.relative_to(session).with_name(f"{xml.stem}{ending}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with tifffile.TiffWriter(path) as tiff:
                for _ in range(frames):
                    tiff.write(np.zeros(size[::-1], np.uint8), metadata=None, contiguous=False)


def _levels(session, rule):
    return [finding.level for finding in session.record.warnings if finding.rule == rule]


def test_movies_in_another_folder_and_orphans(tmp_path):
    folder = epu_session(tmp_path / "meta", 5, size=(48, 32))
    movies = tmp_path / "raw"
    _movies(movies, folder, skip=(data_stem(2),))
    write(movies / "Images-Disc1" / "GridSquare_11" / "Data" / f"{data_stem(9)}_fractions.tiff", "")
    write(folder / "Images-Disc1" / "GridSquare_11" / "Data" / f"{data_stem(0)}.mrc", "summed image")
    session = scan_session(folder, movies)
    assert session.info.counts["movies"] == 5
    assert session.without_metadata == (f"Images-Disc1/GridSquare_11/Data/{data_stem(9)}_fractions.tiff",)
    assert [Path(path).stem for path in session.without_movie] == [data_stem(2)]
    assert session.movies["name"] == tuple(data_stem(k) for k in (0, 1, 2, 3, 4, 9))
    assert session.movies["movie"][0].endswith("_fractions.tiff")
    row = next(session.movies.rows())
    assert (row["hole"], row["template"], row["grid_square"], row["defocus_um"]) == ("100", "7", "11", -1.0)
    assert session.record.get("movie_pattern") == "Images-Disc*/GridSquare_*/Data/FoilHole_*_Data_*_fractions.tiff"
    assert session.record.get("movie_size_px") == (48, 32)
    assert session.record.values["n_frames"].source == "movie header"
    assert not _levels(session, "V06") and not _levels(session, "V07")
    assert _levels(session, "V18") == ["warning", "warning"]


def test_summed_images_beside_the_metadata_are_no_movies(tmp_path):
    folder = epu_session(tmp_path, 2)
    write(folder / "Images-Disc1" / "GridSquare_11" / "Data" / f"{data_stem(0)}.mrc", "x")
    session = scan_session(folder)
    assert session.info.counts["movies"] == 0 and session.without_movie == ()


def test_header_that_contradicts_the_metadata(tmp_path):
    folder = epu_session(tmp_path / "meta", 2, size=(50, 32))
    _movies(tmp_path / "raw", folder, frames=38)
    session = scan_session(folder, tmp_path / "raw")
    assert _levels(session, "V06") == ["error"] and _levels(session, "V07") == ["error"]
    assert session.record.get("n_frames") == 38
    (conflict,) = [item for item in session.record.conflicts if item.field == "n_frames"]
    assert (conflict.winner.value, conflict.losers[0].value, conflict.losers[0].source) == (38, 40, "image XML")


def test_mixed_settings_are_told_and_the_usual_one_is_taken(tmp_path):
    folder = epu_session(tmp_path, 5)
    data = folder / "Images-Disc1" / "GridSquare_11" / "Data"
    write(data / f"{data_stem(7)}.xml", image_xml(acquired=acquired(7), pixel=2e-10, dose=10e20))
    session = scan_session(folder)
    assert [item.count for item in session.settings] == [5, 1]
    assert session.record.get("movie_px_A") == pytest.approx(1.0)
    assert session.record.get("dose_total_eA2") == pytest.approx(40.0)
    assert _levels(session, "V10") == ["warning"]


def test_scattered_doses_are_one_setting(tmp_path):
    folder = epu_session(tmp_path, 1)
    data = folder / "Images-Disc1" / "GridSquare_11" / "Data"
    for number in range(20):
        write(data / f"{data_stem(number)}.xml", image_xml(acquired=acquired(number), dose=(40 + 0.2 * number) * 1e20))
    assert [item.count for item in scan_session(folder).settings] == [20]


def test_broken_metadata_give_warnings_and_the_rest_goes_on(tmp_path):
    folder = epu_session(tmp_path, 4)
    paths = sorted(folder.rglob("*.xml"))
    paths[0].write_text("")
    paths[1].write_text(paths[1].read_text()[:800])
    session = scan_session(folder)
    assert len(session.movies) == 2
    texts = [finding.text for finding in session.record.warnings if finding.rule == "READ"]
    assert any("is empty" in text for text in texts) and any("half-written" in text for text in texts)


def test_many_broken_files_are_counted(tmp_path):
    folder = epu_session(tmp_path, 30)
    for path in folder.rglob("*.xml"):
        path.write_text("")
    session = scan_session(folder)
    texts = [finding.text for finding in session.record.warnings if finding.rule == "READ"]
    assert len(texts) == 21 and texts[-1].startswith("10 more")
    assert _levels(session, "V15") == ["error"]


@pytest.mark.parametrize("kind", ["empty", "screening"])
def test_sessions_without_data(tmp_path, kind):
    (tmp_path / "Images-Disc1").mkdir()
    if kind == "screening":
        write(tmp_path / "Images-Disc1" / "GridSquare_1" / "GridSquare_20240101_101010.xml", image_xml())
    session = scan_session(tmp_path)
    assert (session.info.kind, len(session.movies)) == (kind, 0)
    assert _levels(session, "V15") == ["error"]
    missing = {finding.field for finding in session.record.warnings if finding.rule == "V01"}
    assert {"voltage_kV", "movie_px_A", "dose_per_frame_eA2", "movie_pattern"} <= missing


def test_movies_without_any_metadata(tmp_path):
    folder = epu_session(tmp_path / "meta", 2)
    _movies(tmp_path / "raw", folder)
    (info,) = find_sessions(tmp_path / "raw")
    session = scan_session(tmp_path / "raw")
    assert (info.kind, len(session.movies), session.record.get("n_frames")) == ("data", 2, 40)
    assert session.movies["hole"] == ("100", "101")
    assert session.record.get("voltage_kV") is None


def test_gaps_and_rate(tmp_path):
    folder = epu_session(tmp_path, 0)
    data = folder / "Images-Disc1" / "GridSquare_11" / "Data"
    for number, minute in enumerate([0, 1, 2, 3, 33, 34, 35]):
        write(data / f"{data_stem(number)}.xml", image_xml(acquired=f"2024-05-01T10:{minute:02d}:00+02:00"))
    timing = scan_session(folder).timing
    assert timing.per_hour == pytest.approx(6 / (35 / 60))
    (gap,) = timing.gaps
    assert (gap.minutes, gap.start) == (30.0, "2024-05-01T10:03:00+02:00")


def test_serialem_session(tmp_path):
    text = (
        "T = SerialEM: Krios D3593\nVoltage = 300\n\n[FrameSet = 0]\nPixelSpacing = 0.8\nBinning = 1\n"
        "ExposureDose = 40\nNumSubFrames = 40\n"
        "ImageShift = {x} 0\nSubFramePath = X:\\a\\m{k}.tif\nDateTime = 01-May-24  10:00:{k:02d}\n"
    )
    for number in range(12):
        write(tmp_path / f"m{number}.tif.mdoc", text.format(k=number, x=number % 3 + 0.001 * number))
    import tifffile

    tifffile.imwrite(tmp_path / "m3.tif", np.zeros((40, 8, 8), np.uint8), photometric="minisblack")
    session = scan_session(tmp_path)
    assert (session.info.software, len(session.movies), session.record.get("scope_id")) == ("SerialEM", 12, "3593")
    assert session.record.get("dose_per_frame_eA2") == pytest.approx(1.0)
    assert len(session.groups) == 3
    assert session.movies["movie"][3] == "m3.tif" and len(session.without_movie) == 11
    assert session.record.get("movie_pattern") == "*.tif"


def test_tilt_series_are_left_out(shared_data, tmp_path):
    source = shared_data / "acquisition" / "serialem" / "TS_41.mrc.mdoc"
    for number in range(3):
        (tmp_path / f"TS_{number}.mrc.mdoc").write_bytes(source.read_bytes())
    session = scan_session(tmp_path)
    assert (session.info.kind, len(session.movies)) == ("tilt_series", 0)
    assert _levels(session, "V15")[0] == "error"
    mixed = scan_session(shared_data / "acquisition" / "serialem")
    assert len(mixed.movies) == 3 and "2 of kind tilt series" in str(mixed.record.warnings)


def test_a_second_scan_reads_only_what_is_new(tmp_path, monkeypatch):
    from relion4plugin.acquisition import session as module

    read = []
    monkeypatch.setattr(module, "read_epu_image", lambda path, original=module.read_epu_image: (read.append(path), original(path))[1])
    folder, index = epu_session(tmp_path, 6), tmp_path / "index"
    first = scan_session(folder, index=index)
    again = scan_session(folder, index=index)
    assert len(read) == 6
    assert (again.record, again.movies, again.groups) == (first.record, first.movies, first.groups)
    write(folder / "Images-Disc1" / "GridSquare_11" / "Data" / f"{data_stem(8)}.xml", image_xml(acquired=acquired(8)))
    assert len(scan_session(folder, index=index).movies) == 7 and len(read) == 7


def test_groups_keep_their_numbers_while_a_session_grows(tmp_path, rng):
    folder, index = epu_session(tmp_path, 0), MetadataIndex(tmp_path / "index")
    data = folder / "Images-Disc1" / "GridSquare_11" / "Data"
    places = [(x * 0.1, y * 0.1) for x in range(3) for y in range(3)]
    seen: dict[str, str] = {}
    for start in range(0, 300, 60):
        for number in range(start, start + 60):
            x, y = np.array(places[number % (8 if start < 240 else 9)]) + rng.normal(0, 0.001, 2)
            write(data / f"{data_stem(number)}.xml", image_xml(acquired=acquired(number), shift=(float(x), float(y))))
        session = scan_session(folder, index=index)
        now = dict(zip(session.movies["name"], session.movies["optics_group"], strict=True))
        assert all(now[name] == group for name, group in seen.items())
        seen = now
    assert len(set(seen.values())) == 9


def test_no_clustering_means_one_group_for_each_shot(shared_data, tmp_path):
    folder = epu_session(tmp_path, 4)
    dm = (next((shared_data / "acquisition").rglob("EpuSession.dm"))).read_text(encoding="utf-8")
    write(folder / "EpuSession.dm", dm.replace("ClusteringWithImageBeamShift", "NoClustering"))
    data = folder / "Images-Disc1" / "GridSquare_11" / "Data"
    for number in range(10, 14):
        write(data / f"{data_stem(number, template=8)}.xml", image_xml(acquired=acquired(number), shift=(0.5 * number, 0)))
    session = scan_session(folder)
    assert session.movies["optics_group"] == ("opticsGroup1",) * 4 + ("opticsGroup2",) * 4


def test_links_out_of_the_session_are_not_followed(tmp_path):
    folder = epu_session(tmp_path, 1)
    outside = epu_session(tmp_path / "other", 3)
    (folder / "Images-Disc2").symlink_to(outside / "Images-Disc1", target_is_directory=True)
    (folder / "Images-Disc1" / f"{data_stem(30)}.xml").symlink_to(next(outside.rglob("*.xml")))
    assert len(scan_session(folder).movies) == 1


def test_images_of_several_discs_and_odd_names(tmp_path):
    folder = epu_session(tmp_path, 2, name="my session #1 [50%]")
    write(folder / "Images-Disc2" / "GridSquare_12" / "Data" / f"{data_stem(5)}.xml", image_xml(acquired=acquired(5)))
    session = scan_session(folder)
    assert session.movies["grid_square"] == ("11", "11", "12")


def test_eer_frames_are_those_of_the_file(tmp_path):
    from relion4plugin.files.movie_write_eer import write_eer

    custom = "".join(
        pair_of(f"Detectors[EF-Falcon].{name}", value) for name, value in (("FrameRate", "100"), ("EerGainReference", "g.gain"))
    )
    folder = epu_session(tmp_path / "meta", 1, camera="EF-Falcon", fractions="", kind="o:EerFractionation", custom=custom, size=(64, 64))
    movie = tmp_path / "raw" / f"{data_stem(0)}_EER.eer"
    movie.parent.mkdir()
    write_eer(movie, np.zeros((190, 64, 64), np.uint8))
    assert read_movie_header(movie, eer_grouping=1).n_hardware_frames == 190
    session = scan_session(folder, tmp_path / "raw")
    assert (session.record.get("n_frames"), session.record.get("movie_format"), session.record.get("mode")) == (190, "eer", "EER")
    assert session.record.get("dose_per_frame_eA2") == pytest.approx(40 / 190)
    assert _levels(session, "V07") == ["info"]


def test_growing_movies_are_no_error(tmp_path):
    folder = epu_session(tmp_path / "meta", 1, size=(48, 32))
    _movies(tmp_path / "raw", folder)
    (movie,) = (tmp_path / "raw").rglob("*.tiff")
    movie.write_bytes(movie.read_bytes()[:2000])
    os.utime(movie, (time.time(),) * 2)
    session = scan_session(folder, tmp_path / "raw")
    assert len(session.movies) == 1
    assert any(finding.rule == "READ" and movie.name in finding.text for finding in session.record.warnings)


def test_patterns():
    assert movie_pattern([]) is None
    assert movie_pattern(["a/b.tif", "a/c.tif", "d.mrc"]) == "a/*.tif"
