"""What is wrong or doubtful about the options, before anything is written."""

import re
from collections.abc import Iterator
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.jobs.parameters import check
from relion4plugin.jobs.programs import OWN
from relion4plugin.preprocessing.picking.cryolo_program import find_cryolo, find_model
from relion4plugin.schemes.it.options import ItOptions, Picker
from relion4plugin.schemes.it.values import micrograph_angpix, sizes_of

_GPUS = re.compile(r"\d+( *, *\d+)*")
_SMALLEST_BOX = 16  # pixels; below it nothing is left to align


def check_options(options: ItOptions) -> None:
    """Check what no session can do without, and what cannot be.

    Raises
    ------
    UserError
        For the first mistake.
    """
    check(options)
    if not (options.do_prep or options.do_proc):
        raise UserError("do_prep and do_proc are both No, so nothing would run; set one of them to Yes")
    for name, unit, needed in (
        ("angpix", "A", True),
        ("dose_per_frame", "e/A2", options.do_prep and options.is_multiframe),
        ("particle_diameter", "A", options.do_proc),
    ):
        if needed and getattr(options, name) <= 0:
            raise UserError(f"{name} is not given; expected a number above 0 ({unit}), give --{name}")
    if options.gpus and not _GPUS.fullmatch(options.gpus.strip()):
        raise UserError(f"gpus is '{options.gpus}'; expected numbers with commas, such as 0,1")
    if options.do_prep and not options.fn_in_raw:
        raise UserError("fn_in_raw is empty; give the pattern of the movies, such as 'Movies/*.tiff'")
    if options.do_proc and not options.do_prep and not options.ctffind_mics:
        raise UserError("ctffind_mics is not given; without prep, proc needs the STAR file of micrographs with CTFs, give --ctffind_mics")
    if options.do_proc:
        point_group(options.symmetry)
        _check_sizes(options)


def _check_sizes(options: ItOptions) -> None:
    sizes = sizes_of(options)
    if sizes is None:
        return
    for name, value in (("box_size", sizes.box), ("small_box", sizes.small_box)):
        if value % 2 or value < _SMALLEST_BOX:
            raise UserError(f"{name} is {value} px; expected an even number of at least {_SMALLEST_BOX}")
    if sizes.small_box > sizes.box:
        raise UserError(f"small_box is {sizes.small_box} px, but box_size only {sizes.box}; expected a smaller or equal number")
    angpix = micrograph_angpix(options)
    if sizes.mask_diameter > sizes.box * angpix:
        width = f"{sizes.box} px of {angpix:g} A are {sizes.box * angpix:g} A"
        raise UserError(f"mask_diameter is {sizes.mask_diameter:g} A, but the box is narrower ({width}); lower it or raise box_size")


def doubts(options: ItOptions, root: Path) -> Iterator[str]:
    """Find what may be a mistake: files that do not exist now, programs that are not here, patterns without a wildcard.

    Parameters
    ----------
    options : ItOptions
        Options that passed `check_options`.
    root : Path
        The project directory.

    Yields
    ------
    str
        One line each.
    """
    files = {"fn_gain_ref": options.fn_gain_ref if options.do_prep else ""}
    if options.do_proc:
        files |= {"iniref": options.iniref}
        files |= {"topaz_model": options.topaz_model if options.picker == Picker.TOPAZ.value else ""}
        files |= {"cryolo_model": options.cryolo_model if options.picker == Picker.CRYOLO.value else ""}
        files |= {"ctffind_mics": "" if options.do_prep else options.ctffind_mics}
    for name, path in files.items():
        if path and "$" not in path and not (root / Path(path).expanduser()).is_file():
            yield f"{name}: there is no file {path} now; it must be there when it is needed"
    if options.do_proc and options.picker == Picker.CRYOLO.value and options.cryolo_program.split(" ")[0] == OWN:
        yield from _cryolo_doubts(options)
    if options.do_prep and not any(sign in options.fn_in_raw for sign in "*?["):
        yield f"fn_in_raw is {options.fn_in_raw} without a *; only this one file will be imported"
    if options.do_proc and options.particle_diameter > 0 and options.particle_diameter < 10 * micrograph_angpix(options):
        yield f"particle_diameter is only {options.particle_diameter:g} A, less than ten pixels; it is in A, not in nm"


def _cryolo_doubts(options: ItOptions) -> Iterator[str]:
    """Tell what is missing for crYOLO on this machine; jobs of a queue may find it on theirs."""
    try:
        find_cryolo()
        if not options.cryolo_model:
            find_model()
    except UserError as error:
        yield f"picker is {options.picker}: {error}"
