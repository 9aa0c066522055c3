"""RELION-4.0's tools, natively in Python, for Scipion and the command line."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from relion4plugin.processor import choose_kernels

__version__ = "0.4.0"
_logo = "icon.png"
_references = ["Kimanius2021"]

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent
# In a checkout protocols/, templates/ and tests/ lie beside the package, in an installation inside it.
if not (_HERE / "protocols" / "__init__.py").is_file() and (_ROOT / "setup.py").is_file() and (_ROOT / "protocols").is_dir():
    __path__.append(str(_ROOT))


choose_kernels()


def __getattr__(name: str) -> Any:
    """Offer Scipion's `Plugin` class where Scipion is installed, imported only when it is asked for."""
    if name == "Plugin" and importlib.util.find_spec("pwem") is not None:
        Plugin = importlib.import_module(f"{__name__}.scipion.plugin").Plugin
        Plugin.__module__ = __name__  # Scipion derives the plugin's name and path from the class's module
        globals()["Plugin"] = Plugin
        return Plugin
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
