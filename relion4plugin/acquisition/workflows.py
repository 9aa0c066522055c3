"""Which schemes and Scipion workflows a preset uses."""

from pathlib import Path

from relion4plugin.acquisition.preset import Preset
from relion4plugin.errors import UserError
from relion4plugin.schemes.library.catalogue import shipped_folder

_SUFFIX = ".json.template"
_OTHERS = "acquisition"  # folder of workflows of other plugins, which Scipion is not to list as ours


def scheme_folder(preset: Preset) -> Path:
    """Return the folder with the schemes prep and proc-PICKER."""
    given = preset.get("paths.schemes")
    return Path(given) if given else shipped_folder()


def shipped_workflows() -> list[Path]:
    """Return the shipped Scipion workflows that begin with movies."""
    folder = shipped_folder().parent
    return sorted([*folder.glob(f"streaming_*{_SUFFIX}"), *(folder / _OTHERS).glob(f"*{_SUFFIX}")])


def workflow_path(preset: Preset, picker: str) -> Path:
    """Return the Scipion workflow of a preset; a shipped one by its name, or by the way of picking.

    Raises
    ------
    UserError
        If there is none.
    """
    word = preset.get("paths.scipion_template") or f"streaming_{picker}"
    shipped = {path.name.removesuffix(_SUFFIX): path for path in shipped_workflows()}
    path = shipped.get(word, Path(word))
    if not path.is_file():
        raise UserError(f"there is no workflow {path}; set paths.scipion_template in the preset to one, for picking by {picker}")
    return path
