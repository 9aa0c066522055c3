"""Links to inputs, the marks in a run's folder, and what sets that grow say."""

import importlib.util
import os
import tempfile
import unittest
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError

HAS_SCIPION = importlib.util.find_spec("pwem") is not None


@unittest.skipUnless(HAS_SCIPION, "pwem (scipion-em) is not installed")
class TestParts(unittest.TestCase):
    def setUp(self):
        self.addCleanup(os.chdir, os.getcwd())
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.chdir(folder.name)
        self.folder = Path("Runs/000005/extra")

    def links(self):
        from relion4plugin.scipion.links import Links

        return Links(self.folder)

    def test_links_have_names_of_their_own_and_stay(self):
        for folder in ("a", "b"):
            Path(folder).mkdir()
            Path(folder, "x.tiff").write_text(folder)
        links = self.links()
        first, second = links.to("a/x.tiff"), links.to("b/x.tiff")
        self.assertEqual([Path(name).read_text() for name in (first, second)], ["a", "b"])
        self.assertEqual((self.links().to("b/x.tiff"), links.to("a/x.tiff:mrc")), (second, first))
        self.assertEqual([links.result_of(name, ".mrc") for name in (first, second)], [f"{self.folder}/x.mrc", f"{self.folder}/x_2.mrc"])

    def test_an_image_of_another_format_becomes_mrc(self):
        from pwem.emlib.image import ImageHandler

        from relion4plugin.files.mrc import read_mrc

        pixels = np.arange(64, dtype=np.float32).reshape(8, 8)
        picture = ImageHandler().createImage()
        picture.setData(pixels)
        picture.write("x.spi")
        name = self.links().to_image("x.spi", 2.0)
        images, pixel_size = read_mrc(name)
        np.testing.assert_array_equal(images[0], pixels)
        self.assertEqual((Path(name).suffix, pixel_size), (".mrc", 2.0))

    def test_a_folder_belongs_to_one_set_of_parameters(self):
        from relion4plugin.scipion.set_aside import claim_results

        claim_results(self.folder, "one", has_outputs=False)
        (self.folder / "result").touch()
        claim_results(self.folder, "one", has_outputs=True)
        self.assertTrue((self.folder / "result").is_file())
        with self.assertRaisesRegex(UserError, "use Restart"):
            claim_results(self.folder, "two", has_outputs=True)
        claim_results(self.folder, "two", has_outputs=False)
        self.assertFalse((self.folder / "result").exists())

    def test_what_is_set_aside_comes_back(self):
        from relion4plugin.scipion.set_aside import clear_reasons, read_reasons, write_reasons

        self.folder.mkdir(parents=True)
        reasons = {"a.tiff": "is truncated", "b c.tiff": "has 3 frames, expected 4"}
        write_reasons(self.folder, reasons)
        self.assertEqual(read_reasons(self.folder), reasons)
        clear_reasons(self.folder)
        self.assertEqual(read_reasons(self.folder), {})

    def test_a_set_says_what_it_has_and_whether_more_will_come(self):
        from pwem.objects import Micrograph, SetOfMicrographs

        from relion4plugin.scipion.growing import Arrivals, arrivals
        from relion4plugin.scipion.job_inputs import items_of

        micrographs = SetOfMicrographs(filename="set.sqlite")
        micrographs.setStreamState(micrographs.STREAM_OPEN)
        for number in (3, 5, 9):
            micrograph = Micrograph(location=f"m{number}.mrc", objId=number)
            micrograph.setEnabled(number != 5)
            micrographs.append(micrograph)
        micrographs.write()
        self.assertEqual(arrivals("set.sqlite"), Arrivals((3, 9), False))
        micrographs.setStreamState(micrographs.STREAM_CLOSED)
        micrographs.write()
        self.assertEqual(arrivals("set.sqlite"), Arrivals((3, 9), True))
        self.assertEqual([item.getFileName() for item in items_of(micrographs, (9, 3, 4))], ["m3.mrc", "m9.mrc"])
        Path("other.sqlite").write_text("no set")
        with self.assertRaisesRegex(UserError, "not a Scipion set"):
            arrivals("other.sqlite")
