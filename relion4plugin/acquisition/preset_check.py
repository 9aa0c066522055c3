"""What is wrong or doubtful about a preset, before any session."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from relion4plugin.acquisition.fill_scipion import fill_workflow, read_workflow
from relion4plugin.acquisition.preset import Preset, examine
from relion4plugin.acquisition.preset_schema import FREE_TABLE
from relion4plugin.acquisition.record import AcquisitionRecord, Value
from relion4plugin.acquisition.settings import make_settings
from relion4plugin.acquisition.user_values import UserValues
from relion4plugin.acquisition.workflows import scheme_folder, workflow_path
from relion4plugin.errors import UserError
from relion4plugin.schemes.findings import Finding, Severity
from relion4plugin.schemes.it.checks import check_options
from relion4plugin.schemes.it.choices import final_values
from relion4plugin.schemes.it.fill import filled
from relion4plugin.schemes.it.options import ItOptions
from relion4plugin.schemes.library.template import read_template

_FOLDERS = ("metadata_root", "projects", "gains", "mtf", "schemes")
_FILES = ("gain.file", "gain.defects", "queue.script", "processing.topaz_model", "processing.cryolo_model", "processing.iniref")
# A session that every preset can be filled for.
_SAMPLE = AcquisitionRecord({
    "movie_px_A": Value(1.0, "A"), "physical_px_A": Value(1.0, "A"), "voltage_kV": Value(300.0, "kV"),
    "dose_per_frame_eA2": Value(1.0, "e/A^2"), "n_frames": Value(40),
})  # fmt: skip


def check_preset(path: Path) -> list[Finding]:
    """Return all findings about a preset: mistakes with their lines, then folders, files and templates that do not fit.

    Parameters
    ----------
    path : Path
        The file.
    """
    preset, mistakes = examine(path)
    if mistakes:
        return [Finding(Severity.ERROR, path, line, text) for line, text in mistakes]
    return [*_missing(preset), *_calibration_doubts(preset), *_unfilled(preset)]


def _missing(preset: Preset) -> Iterator[Finding]:
    for name in _FOLDERS:
        folder = preset.get(f"paths.{name}")
        if folder and not Path(folder).is_dir():
            yield _finding(preset, Severity.WARNING, f"paths.{name}", f"there is no folder {folder} now")
    for full in _FILES:
        file = preset.get(full)
        if file and not Path(file).is_file():
            yield _finding(preset, Severity.WARNING, full, f"there is no file {file} now")
    if preset.get("gain.rule") == "file" and not preset.get("gain.file"):
        yield _finding(preset, Severity.ERROR, "gain.rule", "gain.rule is file, but gain.file is empty")
    if preset.get("queue.submit") and not preset.get("queue.script"):
        yield _finding(preset, Severity.ERROR, "queue.submit", "jobs go to a queue, but queue.script is empty")


def _calibration_doubts(preset: Preset) -> Iterator[Finding]:
    """Find pixels that do not shrink as the magnification grows."""
    pixels = sorted((int(name), pixel) for name, pixel in preset.get("microscope.calibration").items())
    for (low, larger), (high, smaller) in pairwise(pixels):
        if smaller >= larger:
            text = f"pixel {smaller:g} A at {high} x is not smaller than {larger:g} A at {low} x"
            yield _finding(preset, Severity.WARNING, "microscope.calibration", text)


def _unfilled(preset: Preset) -> Iterator[Finding]:
    """Try the preset on a session."""
    try:
        settings = make_settings(_SAMPLE, preset, UserValues(), Value("Movies/*.tiff"))
        if not settings.choices.options.particle_diameter:
            options = replace(settings.choices.options, particle_diameter=100.0)  # given for each session
            settings = replace(settings, choices=replace(settings.choices, options=options))
        check_options(settings.choices.options)
        if preset.get("processing.pipeline") == "scipion":
            template = workflow_path(preset, settings.choices.options.picker)
            fill_workflow(read_workflow(template), {}, str(template))
        else:
            folder, picker = scheme_folder(preset), settings.choices.options.picker
            sources = {name: read_template(folder / template).renamed(name) for name, template in _wanted(settings.choices.options, picker)}
            filled(sources, final_values(settings.choices))
    except UserError as error:
        yield _finding(preset, Severity.ERROR, _blamed(preset, str(error)), str(error))


def _wanted(options: ItOptions, picker: str) -> Iterator[tuple[str, str]]:
    if options.do_prep:
        yield "prep", "prep"
    if options.do_proc:
        yield "proc", f"proc-{picker}"


def _blamed(preset: Preset, text: str) -> str:
    """Return the key that an error names, for its line."""
    keys = [f"{FREE_TABLE}.{name}" for name in preset.keys if name in text]
    options = [full for full in preset.given if full.startswith("processing.") and text.startswith(full.partition(".")[2])]
    named = [(full, value) for full, value in preset.given.items() if full.startswith(("paths.", "processing."))]
    values = [full for full, value in named if isinstance(value, str) and value and value in text]
    return next(iter((*keys, *options, *values)), "")


def _finding(preset: Preset, severity: Severity, full: str, text: str) -> Finding:
    return Finding(severity, preset.path, preset.lines.get(full, 0), text)
