"""A Scipion workflow filled with the values of a session, whose movies are those of a run that imports them already."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.fill_scipion import CLASS, ID, fill_workflow, read_workflow, workflow_text
from relion4plugin.acquisition.scipion_values import workflow_values
from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.schemes.it.checks import check_options
from relion4plugin.scipion.acquisition_values import Planned

IMPORTS = ("ProtImportMovies", "ProtR4pAcquisition")
NAME = "workflow.json"
_POINTERS = ("input", "reference", "ctf")  # how names of parameters begin that point to outputs


def write_workflow(template: Path, planned: Planned, folder: Path, run: int, settle: float) -> Path:
    """Fill a workflow and write it into the folder of a run.

    Parameters
    ----------
    template : Path
        Workflow with one import of movies, with or without fields.
    planned : Planned
        Values of the session.
    folder : Path
        Folder of the run, absolute; gain reference and defects lie below it.
    run : int
        Id of the run, whose movies take the place of the import's.
    settle : float
        Seconds after which an unchanged movie counts as finished.

    Returns
    -------
    Path
        The workflow.

    Raises
    ------
    UserError
        If a value that the workflow needs is missing, or the template is not as expected.
    """
    check_options(planned.settings.choices.options)
    values = workflow_values(planned.settings, planned.record, str(folder), settle)
    protocols, _ = fill_workflow(read_workflow(template), values, str(template))
    path = folder / NAME
    atomic_write_text(path, workflow_text(without_import(protocols, run, str(template))))
    return path


def without_import(protocols: Sequence[Mapping[str, Any]], run: int, where: str) -> list[dict[str, Any]]:
    """Take the import of movies out of a workflow, and let the rest point to the movies of a run.

    All other ids become larger than the run's, so that none means another run of the project.

    Raises
    ------
    UserError
        If there is not exactly one import of movies.
    """
    imports = [str(protocol[ID]) for protocol in protocols if protocol[CLASS] in IMPORTS]
    if len(imports) != 1:
        raise UserError(f"{where} has {len(imports)} imports of movies ({', '.join(IMPORTS)}); expected one")
    rest = [protocol for protocol in protocols if str(protocol[ID]) != imports[0]]
    number = {imports[0]: run} | {str(protocol[ID]): run + count for count, protocol in enumerate(rest, start=1)}
    return [{name: _renumbered(name, value, number) for name, value in protocol.items()} for protocol in rest]


def _renumbered(name: str, value: Any, number: Mapping[str, int]) -> Any:
    if name == ID:
        return str(number[str(value)])
    if isinstance(value, list):
        return [_renumbered(name, item, number) for item in value]
    if name == "_prerequisites" and isinstance(value, str):
        return ",".join(str(number.get(part.strip(), part.strip())) for part in value.split(","))
    start, point, rest = value.partition(".") if isinstance(value, str) else ("", "", "")
    is_pointer = rest.startswith("output") or name.startswith(_POINTERS)
    return f"{number[start]}.{rest}" if point and start in number and is_pointer else value
