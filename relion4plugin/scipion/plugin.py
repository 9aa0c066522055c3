"""The plugin class that Scipion instantiates."""

import os
from pathlib import Path
from typing import Any

import pwem
from pyworkflow.utils import Environ

PACKAGE = Path(__file__).resolve().parents[1]


class Plugin(pwem.Plugin):
    """A plugin without binaries: everything it needs comes with the Python package."""

    _homeVar = ""
    _pathVars: list[str] = []
    _supportedVersions: list[str] = []
    _processingField = ["SPA"]
    _url = "https://doi.org/10.1042/BCJ20210708"  # opened by Help: the paper on the algorithms

    @classmethod
    def _defineVariables(cls) -> None:
        """Define no variables: nothing outside the package is configured."""

    @classmethod
    def getEnviron(cls) -> Environ:
        """Environment of external programs: the one Scipion runs in."""
        return Environ(os.environ)

    @classmethod
    def defineBinaries(cls, env: Any) -> None:
        """Install nothing."""

    @classmethod
    def validateInstallation(cls) -> list[str]:
        """Return no errors: an importable package is a complete installation."""
        return []

    def getPluginTemplateDir(self) -> str:
        """Folder of the workflow templates, in a checkout and in an installed package."""
        inside = PACKAGE / "templates"
        return str(inside if inside.is_dir() else PACKAGE.parent / "templates")
