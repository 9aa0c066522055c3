"""Ask Scipion, in a process of its own, what it discovers of this plugin; prints JSON (used by doctor)."""

import importlib
import json
import os
import pkgutil
import tempfile
import traceback
from pathlib import Path
from typing import Any

PLUGIN = "relion4plugin"


def probe() -> dict[str, Any]:
    """Return protocols, templates and tests that Scipion finds, and every error on the way with its reason."""
    import pyworkflow
    from pyworkflow.plugin import Domain

    pyworkflow.Config.setDomain("pwem")
    domain: type[Domain] = pyworkflow.Config.getDomain()
    found: dict[str, Any] = {"protocols": [], "templates": [], "tests": [], "errors": []}
    if PLUGIN not in domain.getPlugins():
        found["errors"].append(_import_error(PLUGIN) or f"no entry point 'pyworkflow.plugin' is installed for {PLUGIN}: pip install it")
        return found
    for name, cls in sorted(domain.getProtocols().items()):
        if cls.__module__.startswith(f"{PLUGIN}.protocols") and getattr(cls, "_label", None):
            found["protocols"].append(name)
    module = domain.getPlugins()[PLUGIN]
    if not found["protocols"]:
        found["errors"].append(_import_error(f"{PLUGIN}.protocols") or "the package relion4plugin.protocols has no protocol class")
    found["templates"] = sorted(Path(t.getPath() if hasattr(t, "getPath") else str(t)).name for t in module._pluginInstance.getTemplates())
    tests = importlib.import_module(f"{PLUGIN}.tests")
    found["tests"] = sorted(
        m.name for folder in tests.__path__ for m in pkgutil.iter_modules([str(Path(folder) / "scipion")]) if m.name.startswith("test_")
    )
    return found


def _import_error(name: str) -> str | None:
    try:
        importlib.import_module(name)
    except Exception:  # whatever a broken module raises is the answer
        return traceback.format_exc(limit=-2).strip()
    return None


def main() -> None:
    """Print what Scipion finds; without a Scipion home of the user's, use a throw-away one."""
    with tempfile.TemporaryDirectory(prefix="relion4plugin-doctor-") as home:
        os.environ.setdefault("SCIPION_HOME", home)
        os.environ.setdefault("SCIPION_USER_DATA", home)
        os.environ.setdefault("SCIPION_DOMAIN", "pwem")
        os.environ["SCIPION_NOTIFY"] = "False"
        print(json.dumps(probe()))


if __name__ == "__main__":
    main()
