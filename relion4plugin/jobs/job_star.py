"""job.star: the type and the options of a job, as RELION stores them."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star, write_star

# RELION 3.1 numbers its job types.
_LEGACY_TYPES = {
    8: "relion.class2d",
    9: "relion.class3d",
    10: "relion.refine3d",
    12: "relion.maskcreate",
    15: "relion.postprocess",
    16: "relion.localres",
    18: "relion.initialmodel",
}
# RELION 3.1 appends a description of its form, with unquoted tabs in values; RELION itself never reads it back.
_FORM_TABLE = b"\ndata_joboptions_full_definition"


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
    blocks = _read_blocks(path)
    job, values = blocks.get("job"), blocks.get("joboptions_values")
    if not isinstance(job, dict):
        raise UserError(f"{path} has no block data_job: expected the job.star of a RELION job")
    options = _options(values, path)
    if "rlnJobTypeLabel" in job:
        label = str(job["rlnJobTypeLabel"])
    else:
        number = int(float(job.get("rlnJobType", -1)))
        label = _LEGACY_TYPES.get(number, f"relion.legacy{number}")
    return JobStar(label, _flag(job.get("rlnJobIsContinue")), _flag(job.get("rlnJobIsTomo")), options)


def _read_blocks(path: Path) -> dict[str, Any]:
    if path.is_file():
        content = path.read_bytes()
        if _FORM_TABLE in content:
            with tempfile.TemporaryDirectory() as folder:
                part = Path(folder) / path.name
                part.write_bytes(content.split(_FORM_TABLE)[0])
                return dict(read_star(part))
    return dict(read_star(path))


def _flag(value: object) -> bool:
    return str(value) in ("1", "1.0", "True")


def _options(values: object, path: Path) -> dict[str, str]:
    if values is None:
        return {}
    table = pd.DataFrame([values]) if isinstance(values, dict) else values
    if not isinstance(table, pd.DataFrame) or not {"rlnJobOptionVariable", "rlnJobOptionValue"} <= set(table.columns):
        raise UserError(f"{path}: data_joboptions_values needs the columns rlnJobOptionVariable and rlnJobOptionValue")
    texts = ["" if pd.isna(v) or str(v) == '""' else str(v) for v in table["rlnJobOptionValue"]]
    return dict(zip((str(n) for n in table["rlnJobOptionVariable"]), texts, strict=True))


def write_job_star(path: Path, job: JobStar) -> None:
    """Write a job.star (RELION 4 form), options sorted by name."""
    names = sorted(job.options)
    head = {"rlnJobTypeLabel": job.type_label, "rlnJobIsContinue": int(job.is_continue), "rlnJobIsTomo": int(job.is_tomo)}
    table = pd.DataFrame({"rlnJobOptionVariable": names, "rlnJobOptionValue": [job.options[n] for n in names]}, dtype=object)
    write_star(path, {"job": head, "joboptions_values": table})
