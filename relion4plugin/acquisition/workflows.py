"""Which schemes and Scipion workflows a preset uses."""

from pathlib import Path

from relion4plugin.acquisition.preset import Preset
from relion4plugin.errors import UserError
from relion4plugin.schemes.library.catalogue import shipped_folder

_FOLDER, _SUFFIX = "acquisition", ".json.template"


def scheme_folder(preset: Preset) -> Path:
    """Return the folder with the schemes prep and proc-PICKER."""
    given = preset.get("paths.schemes")
    return Path(given) if given else shipped_folder()


def shipped_workflows() -> list[Path]:
    """Return the shipped Scipion workflows."""
    return sorted((shipped_folder().parent / _FOLDER).glob(f"*{_SUFFIX}"))


def workflow_path(preset: Preset, picker: str) -> Path:
    """Return the Scipion workflow of a preset; a shipped one by its name, or by the way of picking.

    Raises
    ------
    UserError
        If there is none.
    """
    word = preset.get("paths.scipion_template") or f"acquisition_{picker}"
    shipped = shipped_folder().parent / _FOLDER / f"{word}{_SUFFIX}"
    path = shipped if "/" not in word and not word.endswith((".json", ".template")) else Path(word)
    if not path.is_file():
        raise UserError(f"there is no workflow {path}; set paths.scipion_template in the preset to one, for picking by {picker}")
    return path
