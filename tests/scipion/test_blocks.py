"""Blocks of a run, digests, and the state that is found on disk."""

import tempfile
import unittest
from pathlib import Path

from relion4plugin.scipion.blocks import block_ends, claim_folder, copy_records, digest_of, last_state


class TestBlocks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_blocks_reach_the_end_once_and_in_order(self):
        for iterations in (1, 2, 19, 20, 21, 25, 200, 333):
            for first in (0, iterations // 2, iterations - 1):
                ends = block_ends(iterations, first)
                self.assertEqual(ends[-1], iterations)
                self.assertEqual(ends, sorted(set(ends)))
                self.assertTrue(all(end > first for end in ends))
                self.assertLessEqual(len(ends), 20)

    def test_more_iterations_keep_the_blocks_that_are_done(self):
        self.assertEqual(block_ends(40)[:10], block_ends(36)[:10])

    def test_digest_follows_values_and_contents(self):
        path = self.folder / "set.sqlite"
        path.write_bytes(b"one")
        first = digest_of({"a": 1, "b": 2.0}, path)
        self.assertEqual(first, digest_of({"b": 2.0, "a": 1}, path))
        self.assertNotEqual(first, digest_of({"a": 1, "b": 2.5}, path))
        path.write_bytes(b"two")
        self.assertNotEqual(first, digest_of({"a": 1, "b": 2.0}, path))

    def test_newest_state_below_a_limit(self):
        self.assertIsNone(last_state(self.folder))
        self.assertIsNone(last_state(self.folder / "absent"))
        for name in ("run_it000_optimiser.star", "run_it020_optimiser.star", "run_it010_optimiser.star", "run_it030_model.star"):
            (self.folder / name).touch()
        self.assertEqual(last_state(self.folder), (20, self.folder / "run_it020_optimiser.star"))
        self.assertEqual(last_state(self.folder, at_most=19), (10, self.folder / "run_it010_optimiser.star"))

    def test_a_folder_is_cleaned_only_for_another_digest(self):
        claim_folder(self.folder, "first")
        (self.folder / "run_it001_model.star").touch()
        (self.folder / "particles.star").touch()
        (self.folder / "start2").mkdir()
        (self.folder / "start2" / "run_it001_model.star").touch()
        claim_folder(self.folder, "first")
        self.assertTrue((self.folder / "run_it001_model.star").exists())
        claim_folder(self.folder, "second")
        self.assertFalse((self.folder / "run_it001_model.star").exists())
        self.assertFalse((self.folder / "start2").exists())
        self.assertTrue((self.folder / "particles.star").exists())
        self.assertEqual((self.folder / "run_digest.txt").read_text().strip(), "second")

    def test_records_are_taken_over(self):
        source = self.folder / "before"
        source.mkdir()
        copy_records(source, self.folder)
        self.assertFalse((self.folder / "run_iterations.jsonl").exists())
        (source / "run_iterations.jsonl").write_text('{"iteration": 1}\n')
        copy_records(source, self.folder)
        self.assertEqual((self.folder / "run_iterations.jsonl").read_text(), '{"iteration": 1}\n')
