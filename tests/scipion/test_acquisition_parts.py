"""Optics groups that stay, values of movies, workflows without their import, movies that wait: without a Scipion project."""

import unittest
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np

from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.movie_table import MovieTable
from relion4plugin.acquisition.preset import NO_PRESET, find_preset
from relion4plugin.acquisition.record import AcquisitionRecord
from relion4plugin.acquisition.session import scan_session
from relion4plugin.acquisition.session_groups import session_groups
from relion4plugin.acquisition.session_reading import facts_of
from relion4plugin.acquisition.user_values import user_values
from relion4plugin.errors import UserError
from relion4plugin.scipion.acquisition_arrivals import SessionMovies, session_folder
from relion4plugin.scipion.acquisition_groups import clusters_of, group_numbers
from relion4plugin.scipion.acquisition_values import load_values, movie_values, plan_values, save_values
from relion4plugin.scipion.acquisition_workflow import without_import
from tests.acquisition.small_sessions import add_mdoc, add_movie, small_session

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "acquisition"


class TestGroupNumbers(unittest.TestCase):
    def test_new_movies_join_the_group_of_their_cluster_or_found_one(self):
        clusters = {"a": "x", "b": "x", "c": "y", "d": "z", "e": "z"}
        self.assertEqual(group_numbers(clusters, {}, ["a", "c"]), {"a": 1, "c": 2})
        self.assertEqual(group_numbers(clusters, {"a": 1, "c": 2}, ["b", "d", "e"]), {"b": 1, "d": 3, "e": 3})

    def test_a_group_that_turns_out_to_be_mixed_gets_no_more(self):
        clusters = {"a": "x", "b": "y", "c": "x", "d": "y"}
        self.assertEqual(group_numbers(clusters, {"a": 1, "b": 1}, ["c", "d"]), {"c": 2, "d": 3})

    def test_a_stray_movie_does_not_end_a_group_and_the_larger_of_two_goes_on(self):
        clusters = {f"m{number}": "x" for number in range(20)} | {"stray": "y", "new": "x"}
        known = {f"m{number}": 1 for number in range(20)} | {"stray": 1}
        self.assertEqual(group_numbers(clusters, known, ["new"]), {"new": 1})
        split = {f"m{number}": 1 + (number > 14) for number in range(20)}
        self.assertEqual(group_numbers(clusters, split, ["new"]), {"new": 1})

    def positions(self):
        """Beam shifts of the 81 images of a real session, three visits each time with a little scatter, seven times."""
        if not SHARED.is_dir():
            self.skipTest(f"no real data at {SHARED}")
        table = scan_session(SHARED / "epu_falcon3_afis").movies
        shifts = np.array([table["beam_shift_x"], table["beam_shift_y"]]).T
        rng = np.random.default_rng(1)
        return np.concatenate([shifts + rng.normal(0, 5e-4, shifts.shape) for _ in range(4)]), table["optics_group"]

    def test_a_session_with_afis_seen_in_parts(self):
        shifts, true = self.positions()
        rows = [{"movie": f"m{n:04d}", "name": f"m{n:04d}", "beam_shift_x": x, "beam_shift_y": y} for n, (x, y) in enumerate(shifts)]
        index, known, given = MetadataIndex(), {}, []
        for stop in range(10, len(rows) + 1, 7):
            groups, model = session_groups(rows[:stop], AcquisitionRecord(), index, "s")
            session = SimpleNamespace(groups=model, movies=MovieTable.of_rows(rows[:stop]).with_column("optics_group", groups))
            new = [row["movie"] for row in rows[:stop] if row["movie"] not in known]
            numbers = group_numbers(clusters_of(session)[0], known, new)
            self.assertEqual(set(numbers), set(new))
            known |= numbers
            given.append(dict(known))
        for before in given:
            self.assertEqual({movie: known[movie] for movie in before}, before)
        late = [(known[f"m{n:04d}"], true[n % len(true)]) for n in range(200, len(known))]
        pairs = set(late)
        self.assertEqual((len({mine for mine, _ in pairs}), len({theirs for _, theirs in pairs}), len(pairs)), (27, 27, 27))
        self.assertLess(max(known.values()), 60)


class TestArrivals(unittest.TestCase):
    def setUp(self):
        place = TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.root = Path(place.name)

    def source(self, settle=0.0, patience=0.0, movies=None):
        return SessionMovies(self.root / "s", movies, NO_PRESET, self.root / "index.sqlite", settle, patience)

    def test_a_movie_waits_for_its_metadata_as_long_as_asked(self):
        add_movie(self.root / "s", 0)
        add_movie(self.root / "s", 1, mdoc=False)
        patient, hasty = self.source(patience=100.0), self.source()
        look = patient.look(())
        self.assertEqual(([movie.name for movie in look.ready], look.waiting), (["mov_0000.tif"], 1))
        self.assertEqual(len(hasty.look(()).ready), 2)
        add_mdoc(self.root / "s", 1)
        look = patient.look(("mov_0000.tif",))
        self.assertEqual(([movie.name for movie in look.ready], look.waiting), (["mov_0001.tif"], 0))

    def test_a_movie_that_changes_is_waited_for_and_a_damaged_one_is_tried_again(self):
        movie = add_movie(self.root / "s", 0)
        whole = movie.read_bytes()
        self.assertEqual(self.source(settle=100.0).look(()).waiting, 1)
        source = self.source()
        movie.write_bytes(whole[:-400])
        self.assertEqual(list(source.look(()).unusable), ["mov_0000.tif"])
        movie.write_bytes(whole)
        self.assertEqual([ready.header.n_frames for ready in source.look(()).ready], [4])

    def test_the_session_is_found_below_a_folder(self):
        (self.root / "all").mkdir()
        self.assertIsNone(session_folder(self.root / "all"))
        one = small_session(self.root / "all" / "one", 1)
        self.assertEqual((session_folder(self.root / "all"), session_folder(one)), (one, one))
        small_session(self.root / "all" / "two", 1)
        with self.assertRaisesRegex(UserError, "2 sessions in .* \\(one, two\\); choose"):
            session_folder(self.root / "all")


class TestValues(unittest.TestCase):
    def planned(self, *words, pixel=1.06, preset=NO_PRESET):
        with TemporaryDirectory() as place:
            session = scan_session(small_session(Path(place) / "s", 3, pixel=pixel))
            return plan_values(facts_of(session), preset, user_values(words))

    def test_an_unknown_pixel_is_an_error_until_it_is_given(self):
        with self.assertRaisesRegex(UserError, "pixel.*V01.*give the right values"):
            movie_values(self.planned(pixel=0, preset=NO_PRESET), {"V08"})
        self.assertEqual(movie_values(self.planned("movie_px_A=0.9", pixel=0), {"V08"}).pixel_size, 0.9)
        with self.assertRaisesRegex(UserError, "movie_px_A: not known"):
            movie_values(self.planned(pixel=0), {"V01", "V08"})

    def test_eer_frames_are_grouped_by_dose_and_the_total_stays(self):
        from relion4plugin.progress import Silent
        from relion4plugin.simulation.movie_spec import MovieSpec
        from relion4plugin.simulation.movies import simulate_movies

        spec = MovieSpec(
            n_movies=2, width=64, height=64, n_frames=8, eer_frames=5, dose_per_frame=5.0, n_particles=1, layout="epu", file_format="eer"
        )  # fmt: skip
        with TemporaryDirectory() as place:
            simulate_movies(spec, Path(place) / "s", Silent())
            preset = find_preset("krios_falcon4i")
            planned = plan_values(facts_of(scan_session(Path(place) / "s")), preset, user_values(()))
            values = movie_values(planned, {"V06", "V07", "V08"})
        self.assertEqual(values.eer_grouping, 1)  # 1 e/A^2 in each of 40 camera frames
        planned = replace(planned, settings=plan_values(planned.facts, preset, user_values(["eer_grouping=8"])).settings)
        values = movie_values(planned, {"V06", "V07", "V08"})
        self.assertEqual(values.eer_grouping, 8)
        self.assertAlmostEqual(values.dose_per_frame * 40 / values.eer_grouping, 40.0, 3)

    def test_saved_values_come_back(self):
        planned = self.planned("gain_path=", "magnification=81000")
        values = movie_values(planned, {"V08"})
        with TemporaryDirectory() as place:
            self.assertIsNone(load_values(Path(place)))
            save_values(Path(place), values, planned.facts.record, planned.record)
            self.assertEqual(load_values(Path(place)), (values, planned.facts.record))
            (Path(place) / "acquisition.json").write_text("{}")
            with self.assertRaisesRegex(UserError, "damaged .* use Restart"):
                load_values(Path(place))


class TestWithoutImport(unittest.TestCase):
    def test_pointers_lead_to_the_run_and_texts_stay(self):
        protocols = [
            {"object.className": "ProtImportMovies", "object.id": "2", "filesPath": "2.mrc"},
            {"object.className": "A", "object.id": "3", "inputMovies": "2.outputMovies", "gainFile": "2.mrc", "dose": 2.5},
            {"object.className": "B", "object.id": "7", "inputMicrographs": ["3.outputMicrographs"], "_prerequisites": "3,2"},
        ]
        first, second = without_import(protocols, 7, "test")
        self.assertEqual((first["object.id"], first["inputMovies"]), ("8", "7.outputMovies"))
        self.assertEqual((first["gainFile"], first["dose"]), ("2.mrc", 2.5))
        self.assertEqual((second["object.id"], second["inputMicrographs"], second["_prerequisites"]), ("9", ["8.outputMicrographs"], "8,7"))
        for wrong in (protocols[1:], [protocols[0], {**protocols[0], "object.id": "4"}]):
            with self.assertRaisesRegex(UserError, "imports of movies"):
                without_import(wrong, 7, "test")


if __name__ == "__main__":
    unittest.main()
