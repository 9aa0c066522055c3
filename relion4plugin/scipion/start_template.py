"""Load a template into a Scipion project that is in use, and schedule its runs: ``python -m relion4plugin.scipion.start_template``.

Scipion's own command makes a new project of a template. Here its runs join a project, in which their input may still grow.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from relion4plugin.errors import UserError
from relion4plugin.scipion.start_command import Started, run_start_command
from relion4plugin.scipion.start_workflow import read_workflow, start_workflow

_SOURCE = "relion4plugin"
_OUTPUT = re.compile(r"(\d+)\.([A-Za-z_]\w*)(\..+)?")  # perhaps of it an item
_USAGE = "PROJECT_FOLDER TEMPLATE [FIELD=VALUE ...]"


def start_template(project_folder: Path, name: str, values: Mapping[str, str]) -> Started:
    """Fill, load and schedule a template; the same one with the same values is loaded once.

    Parameters
    ----------
    project_folder : Path
        Of the Scipion project.
    name : str
        A template of this plugin, such as ``particles_streaming``.
    values : mapping of str to str
        Fields by their alias; others keep their default. A value such as ``6.outputParticles`` means an output of a run.

    Returns
    -------
    Started
        Its runs, and what keeps some of them from beginning.

    Raises
    ------
    UserError
        If there is no such template, field, run, output or protocol, or a value is of the wrong type.
    """
    project_folder = project_folder.resolve()  # the host moves into it
    template = _template(name)
    template.replaceEnvVariables()
    template.parseContent()
    for alias, value in values.items():
        try:
            known = template.setParamValue(alias, value)
        except Exception as error:  # the host raises nothing narrower for a value of the wrong type
            raise UserError(f"template {name}: {error}") from error
        if not known:
            aliases = ", ".join(dict.fromkeys(field.getAlias() for field in template.getParams().values()))
            raise UserError(f"template {name} has no field {alias}: its fields are {aliases}")
    workflow = Path(template.createTemplateFile())
    try:
        _check_outputs(project_folder, {alias: values[alias] for alias in _inputs(workflow, values)})
        given = " ".join(f"{alias}={value}" for alias, value in sorted(values.items()))
        return start_workflow(project_folder, workflow, f"[template {name} {given}]")
    finally:
        workflow.unlink()


def _template(name: str) -> Any:
    from pyworkflow.template import TemplateList

    found = TemplateList()
    found.addPluginTemplates()
    ours = {template.name: template for template in found.templates if template.source == _SOURCE}
    if name not in ours:
        raise UserError(f"there is no template {name}: choose one of {', '.join(sorted(ours))}")
    return ours[name]


def _inputs(workflow: Path, values: Mapping[str, str]) -> list[str]:
    """Return the fields whose values became inputs of runs; what was left empty is chosen later."""
    import pyworkflow

    known = pyworkflow.Config.getDomain().getProtocols()
    found = set()
    for item in read_workflow(workflow):
        protocol = known.get(item["object.className"])
        attributes = protocol().iterDefinitionAttributes() if protocol is not None else ()
        found |= {item[name] for name, attribute in attributes if attribute.isPointer() and item.get(name)}
    return [alias for alias, value in values.items() if value in found]


def _check_outputs(project_folder: Path, inputs: Mapping[str, str]) -> None:
    """Check that runs whose outputs are wanted exist; the output itself may come later where the run has not finished."""
    import pyworkflow
    from pyworkflow.project import Project

    if not (project_folder / Project.getDbName()).is_file():
        raise UserError(f"{project_folder} is no Scipion project: give its folder")
    project = Project(pyworkflow.Config.getDomain(), str(project_folder))
    project.load()
    runs = {run.getObjId(): run for run in project.getRuns()}
    for alias, value in inputs.items():
        wanted = _OUTPUT.fullmatch(value)
        if wanted is None:
            raise UserError(f"{alias} is {value}: expected an output of a run, such as 6.outputParticles")
        run = runs.get(int(wanted[1]))
        if run is None:
            raise UserError(f"{alias} is {value}, but the project has no run {wanted[1]}: its runs are {', '.join(map(str, sorted(runs)))}")
        outputs = [name for name, _ in run.iterOutputAttributes()]
        if run.isFinished() and wanted[2] not in outputs:
            raise UserError(f"{alias} is {value}, but run {wanted[1]} has finished without it: its outputs are {', '.join(outputs)}")


def main(words: list[str]) -> int:
    """Run the command; words are the project's folder, the template and its fields."""
    return run_start_command(__spec__.name, _USAGE, words, _start)


def _start(words: Sequence[str]) -> Started | None:
    fields = [word.partition("=") for word in words[2:]]
    if len(words) < 2 or not all(equals for _, equals, _ in fields):
        return None
    return start_template(Path(words[0]), words[1], {alias: value for alias, _, value in fields})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
