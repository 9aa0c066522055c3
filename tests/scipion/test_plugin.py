"""What Scipion takes from the package by name: plugin class, tree, logo, references, light imports."""

import configparser
import importlib.util
import json
import subprocess
import sys
import unittest
from pathlib import Path

import relion4plugin

PACKAGE = Path(relion4plugin.__file__).parent
HEAVY = ("pandas", "numba", "starfile", "cupy", "torch", "gemmi")


@unittest.skipUnless(importlib.util.find_spec("pwem"), "pwem (scipion-em) is not installed")
class TestPlugin(unittest.TestCase):
    def setUp(self):
        import pyworkflow

        self.domain = pyworkflow.Config.getDomain()
        self.assertIn("relion4plugin", self.domain.getPlugins())
        self.plugin = self.domain.getPlugins()["relion4plugin"]._pluginInstance

    def test_name_path_and_templates(self):
        self.assertEqual(self.plugin.getName(), "relion4plugin")
        self.assertEqual(Path(self.plugin.getPath()), PACKAGE)
        self.assertTrue(Path(self.plugin.getPluginTemplateDir()).is_dir())
        self.assertEqual(self.plugin.validateInstallation(), [])

    def test_the_tree_names_protocols_that_exist(self):
        tree = configparser.ConfigParser()
        tree.read(PACKAGE / "protocols.conf")
        names = []

        def walk(node):
            if node["tag"] == "protocol":
                names.append(node["value"])
            for child in node.get("children", []):
                walk(child)

        for value in tree["PROTOCOLS"].values():
            for node in json.loads(value):
                walk(node)
        ours = {name for name, cls in self.domain.getProtocols().items() if cls.__module__.startswith("relion4plugin.protocols")}
        self.assertEqual(set(names), ours)

    def test_every_protocol_is_documented_and_cites_known_papers(self):
        from pyworkflow.utils import parseBibTex

        from relion4plugin import bibtex

        known = parseBibTex(bibtex.__doc__)
        self.assertLessEqual(set(relion4plugin._references), set(known))
        for cls in self.domain.getProtocols().values():
            if cls.__module__.startswith("relion4plugin.protocols"):
                self.assertTrue(cls.__doc__ and cls._label)
                self.assertLessEqual(set(cls()._citations()), set(known))

    def test_the_logo_is_there(self):
        self.assertTrue((PACKAGE / relion4plugin._logo).read_bytes().startswith(b"\x89PNG"))

    def test_viewer_and_wizard_are_found(self):
        self.assertIn("R4pClassify2DViewer", self.domain.getViewers())
        self.assertIn("R4pMaskDiameterWizard", self.domain.getWizards())

    def test_protocols_import_without_heavy_libraries(self):
        code = f"import sys, relion4plugin.protocols; print([m for m in {HEAVY!r} if m in sys.modules])"
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        self.assertEqual((answer.returncode, answer.stdout.strip().splitlines()[-1:]), (0, ["[]"]), answer.stderr)
