"""What picking by references reads: the references, and the CTF of each micrograph."""

from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import StackReader, read_header, read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.imaging.ctf import CtfParameters
from relion4plugin.jobs.autopick_files import NAME
from relion4plugin.jobs.autopick_parameters import RefPickParameters
from relion4plugin.jobs.star_rows import RowFile, read_rows
from relion4plugin.preprocessing.picking.template_images import References

_IMAGE_LABELS = ("rlnReferenceImage", "rlnImageName")
_DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
_MICROSCOPE = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
_LEAST_BOX = 8  # px
_OTHER_SIZE = 0.02  # relative difference of pixel sizes that is worth a remark


def read_references(parameters: RefPickParameters, pixel_size: float) -> tuple[References, tuple[str, ...]]:
    """Read the images to look for.

    Parameters
    ----------
    parameters
        `fn_refs_autopick` is a stack or a STAR file of its images; `angpix_ref` their pixel size.
    pixel_size
        Of the micrographs in A: that of references too where `angpix_ref` is not given.

    Returns
    -------
    references, remarks
        A remark tells where the header of the stack has another pixel size.

    Raises
    ------
    UserError
        If the file is not there or holds no square images of numbers.
    """
    path = Path(parameters.fn_refs_autopick)
    if not path.is_file():
        raise UserError(f"references {path}: no such file; give class averages (.mrcs, or .star) with --ref")
    images, stack = _of_star(path) if path.suffix == ".star" else (read_mrc(path)[0], path)
    box = images.shape[-1]
    if images.shape[-2] != box or box % 2 or box < _LEAST_BOX:
        shape = f"{box} x {images.shape[-2]} px"
        raise UserError(f"{path}: references of {shape}; expected squares of an even number of at least {_LEAST_BOX} px")
    if not np.isfinite(images).all():
        raise UserError(f"{path}: a reference has pixels that are not numbers; leave it out")
    images = images[np.ptp(images, axis=(1, 2)) > 0]  # classes without particles
    if not len(images):
        raise UserError(f"{path}: all references are empty; give class averages with particles in them")
    size = parameters.angpix_ref if parameters.angpix_ref > 0 else pixel_size
    told = read_header(stack).pixel_size
    is_other = parameters.angpix_ref <= 0 and told > 0 and abs(told / size - 1) > _OTHER_SIZE
    remark = f"{stack} says {told:g} A per pixel, but references are taken as {size:g} A like the micrographs: give --angpix_ref"
    return References(images, size), (remark,) if is_other else ()


def _of_star(path: Path) -> tuple[np.ndarray, Path]:
    """Read the images that a STAR file lists, and return the first of their stacks too."""
    tables = [block for block in read_star(path).values() if isinstance(block, pd.DataFrame)]
    found = next(((table, label) for table in tables for label in _IMAGE_LABELS if label in table), None)
    if found is None or not len(found[0]):
        raise UserError(f"{path} lists no images: expected a column {' or '.join(_IMAGE_LABELS)}")
    parts = [str(name).rpartition("@") for name in found[0][found[1]]]
    if not all(number.isdigit() for number, _, _ in parts):
        raise UserError(f"{path}: expected images such as 000001@run_it025_classes.mrcs")
    which, names = pd.factorize(np.array([name for _, _, name in parts], dtype=object))
    stacks = [Path(name) if Path(name).is_file() else path.parent / Path(name).name for name in names]
    reader = StackReader(stacks)
    images = reader.read(which, np.array([int(number) - 1 for number, _, _ in parts]))
    reader.close()
    return images, stacks[0]


def read_ctfs(star: str) -> dict[str, CtfParameters]:
    """Return micrograph -> its CTF, from the STAR file of a CTF job of any RELION.

    Raises
    ------
    UserError
        If a value is missing or is no number.
    """
    rows = read_rows(star, "micrographs", "--i")
    missing = next((label for label in _DEFOCUS if label not in rows.rows.columns), None)
    if missing is not None:
        raise UserError(f"{rows.path}: no column {missing}, but the CTF is wanted; give the output of a CTF job, or --ctf No")
    u, v, angle = (rows.numbers(label) for label in _DEFOCUS)
    voltage, aberration, contrast = (_of_group(rows, label) for label in _MICROSCOPE)
    shift = rows.numbers("rlnPhaseShift") if "rlnPhaseShift" in rows.rows.columns else np.zeros(len(u))
    all_ = CtfParameters(u, v, angle, voltage, aberration, contrast, shift, np.zeros(len(u)), np.ones(len(u)))
    return {str(name): all_.select(slice(row, row + 1)) for row, name in enumerate(rows.column(NAME))}


def _of_group(rows: RowFile, label: str) -> np.ndarray:
    """Return a constant of the microscope for each row: from its optics group, in RELION 3.0's files from the row."""
    optics = rows.others.get("optics")
    if not isinstance(optics, pd.DataFrame):
        return rows.numbers(label)
    if label not in optics:
        raise UserError(f"{rows.path}: the table data_optics has no column {label}; add it, or give --ctf No")
    values = {int(group): float(value) for group, value in zip(optics["rlnOpticsGroup"], optics[label], strict=True)}
    groups = rows.numbers("rlnOpticsGroup").astype(int)
    unknown = next((int(group) for group in groups if int(group) not in values), None)
    if unknown is not None:
        raise UserError(f"{rows.path}: optics group {unknown} is not in the table data_optics; correct the file")
    return np.array([values[int(group)] for group in groups])
