"""Names of the shipped schemes, and where their files lie."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

from relion4plugin.schemes.library.prep import prep_template
from relion4plugin.schemes.library.proc import proc_cryolo_template, proc_log_template, proc_topaz_template
from relion4plugin.schemes.library.template import SchemeTemplate, write_template

CATALOGUE: Mapping[str, Callable[[], SchemeTemplate]] = {
    "prep": prep_template,
    "proc-log": proc_log_template,
    "proc-topaz": proc_topaz_template,
    "proc-cryolo": proc_cryolo_template,
}


def shipped_folder() -> Path:
    """Return the folder that holds one folder for each shipped scheme."""
    return Path(str(files("relion4plugin.templates"))) / "schemes"


def write_catalogue(folder: Path) -> list[Path]:
    """Write the files of all shipped schemes below a folder.

    Raises
    ------
    UserError
        If a file cannot be written.
    """
    return [path for name, make in CATALOGUE.items() for path in write_template(make(), folder / name)]
