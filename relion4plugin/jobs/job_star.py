"""job.star: the type and the options of a job, as RELION stores them."""

from dataclasses import dataclass, field
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.star_text import list_block, loop, read_tables, tables_text

# RELION 3.1 numbers its job types.
LEGACY_TYPES = {
    0: "relion.import",
    1: "relion.motioncorr",
    2: "relion.ctffind",
    3: "relion.manualpick",
    4: "relion.autopick",
    5: "relion.extract",
    7: "relion.select",
    8: "relion.class2d",
    9: "relion.class3d",
    10: "relion.refine3d",
    12: "relion.maskcreate",
    13: "relion.joinstar",
    14: "relion.subtract",
    15: "relion.postprocess",
    16: "relion.localres",
    18: "relion.initialmodel",
    19: "relion.multibody",
    20: "relion.polish",
    21: "relion.ctfrefine",
    99: "relion.external",
}
# RELION 3.1 appends a description of its form, with unquoted tabs in values; RELION itself never reads it back.
_FORM_TABLE = "data_joboptions_full_definition"
_VARIABLE, _VALUE = "rlnJobOptionVariable", "rlnJobOptionValue"


@dataclass(frozen=True)
class JobStar:
    """Content of a job.star; `options` keeps every option as text, also those of other programs."""

    type_label: str
    is_continue: bool = False
    is_tomo: bool = False
    options: dict[str, str] = field(default_factory=dict)


def read_job_star(path: Path) -> JobStar:
    """Read a job.star of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If the file is not a job.star.
    """
    tables = read_tables(path, before=_FORM_TABLE)
    job, values = tables.get("job"), tables.get("joboptions_values")
    if job is None or job.is_loop:
        raise UserError(f"{path} has no block data_job: expected the job.star of a RELION job")
    if values is not None and values.rows and not {_VARIABLE, _VALUE} <= set(values.labels):
        raise UserError(f"{path}: data_joboptions_values needs the columns {_VARIABLE} and {_VALUE}")
    rows = values.columns(_VARIABLE, _VALUE) if values is not None else ()
    options = {name: "" if value == '""' else value for name, value in rows}
    label = job.value("rlnJobTypeLabel") or _legacy_label(job.value("rlnJobType"))
    return JobStar(label, _flag(job.value("rlnJobIsContinue")), _flag(job.value("rlnJobIsTomo")), options)


def _legacy_label(number: str) -> str:
    known = LEGACY_TYPES.get(int(number)) if number.isdecimal() else None
    return known or f"relion.legacy{number or -1}"


def _flag(value: str) -> bool:
    return value in ("1", "1.0", "True")


def write_job_star(path: Path, job: JobStar) -> None:
    """Write a job.star (RELION 4 form), options sorted by name."""
    head = {"rlnJobTypeLabel": job.type_label, "rlnJobIsContinue": str(int(job.is_continue)), "rlnJobIsTomo": str(int(job.is_tomo))}
    options = loop("joboptions_values", (_VARIABLE, _VALUE), sorted(job.options.items()))
    atomic_write_text(path, tables_text([list_block("job", head, numeric=("rlnJobIsContinue", "rlnJobIsTomo")), options]))
