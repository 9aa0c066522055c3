"""Picking with crYOLO as a job: its program is called batch by batch, its coordinates become RELION's files."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_header, write_stack
from relion4plugin.jobs.autopick_files import LIST, Micrograph
from relion4plugin.jobs.autopick_run import PickOutputs, PickRun
from relion4plugin.jobs.cryolo_parameters import CryoloParameters
from relion4plugin.jobs.external import watched
from relion4plugin.jobs.one_by_one import Treated
from relion4plugin.jobs.output_nodes import write_output_nodes
from relion4plugin.jobs.parameters import check
from relion4plugin.jobs.relion import kinds
from relion4plugin.preprocessing.picking.cryolo_files import read_cryolo_picks
from relion4plugin.preprocessing.picking.cryolo_program import (
    CryoloSettings,
    configuration,
    environment,
    find_cryolo,
    find_model,
    gpu_numbers,
    picking_words,
)
from relion4plugin.preprocessing.picking.micrograph import check_pixels
from relion4plugin.progress import Progress

__all__ = ["CryoloParameters", "PickOutputs", "run", "settings_of", "validate"]

LOG = "cryolo.log"
_WORK = "cryolo_work"  # one name: what a killed run left is removed by the next one
_LAST_LINES = 3


def settings_of(parameters: CryoloParameters) -> CryoloSettings:
    """Translate to how crYOLO is called.

    Raises
    ------
    UserError
        If crYOLO or its network is not there, or the graphics cards are no numbers.
    """
    p = parameters
    return CryoloSettings(find_cryolo(p.cryolo_env), find_model(p.model), p.box_size, p.threshold, gpu_numbers(p.gpu), p.nr_threads)


def validate(parameters: CryoloParameters) -> tuple[str, ...]:
    """Check what can be known without reading the micrographs.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    check(parameters)
    settings_of(parameters)
    return ()


def run(parameters: CryoloParameters, out_dir: Path, progress: Progress, is_continue: bool = True, overwrite: bool = False) -> PickOutputs:
    """Pick in every micrograph with crYOLO; arguments and errors are those of all jobs in `micrograph_job`.

    What crYOLO says goes to cryolo.log in `out_dir`. `progress` is asked all the time whether the job is to be aborted: an exception
    that it raises ends crYOLO.
    """
    validate(parameters)
    settings = settings_of(parameters)
    job = PickRun(parameters, out_dir, 0.0, is_continue, overwrite)
    items, size = job.unfinished(), parameters.cryolo_batch
    done: list[int] = []
    failed: dict[int, str] = {}
    diameters: list[np.ndarray] = []
    progress.start("Picking with crYOLO", len(items))
    for batch in (items[start : start + size] for start in range(0, len(items), size)):
        try:
            ended = _pick_batch(job, batch, settings, out_dir, progress)
        finally:
            shutil.rmtree(out_dir / _WORK, ignore_errors=True)
        done += ended.done
        failed |= ended.failed
        diameters += ended.diameters
        progress.advance(len(batch), f"{len(ended.failed)} set aside" if ended.failed else "")
    progress.finish()
    outputs = job.outputs(job.end(Treated(tuple(done), failed, 0)), _size_remark(diameters))
    write_output_nodes(out_dir, {(out_dir / LIST).as_posix(): f"{kinds.COORDINATES}.autopick"})
    return outputs


@dataclasses.dataclass(frozen=True)
class _Batch:
    """What became of some micrographs; diameters of their particles in A, where they are known."""

    done: list[int]
    failed: dict[int, str]
    diameters: list[np.ndarray]


def _pick_batch(job: PickRun, items: Sequence[int], settings: CryoloSettings, out_dir: Path, progress: Progress) -> _Batch:
    work = out_dir / _WORK
    shutil.rmtree(work, ignore_errors=True)
    images, output = work / "micrographs", work / "picks"
    images.mkdir(parents=True)
    result = _Batch([], {}, [])
    names: dict[int, str] = {}
    for item in items:
        name = f"{item:06d}"  # micrographs of different folders may have the same name
        try:
            _provide(job.micrographs[item], images / f"{name}.mrc")
        except UserError as error:
            result.failed[item] = str(error)
            continue
        names[item] = name
    reason = _call(settings, work, images, output, out_dir / LOG, progress) if names else ""
    for item, name in names.items():
        micrograph = job.micrographs[item]
        try:
            picks = read_cryolo_picks(output, name, settings.threshold, micrograph.pixel_size)
        except UserError as error:
            result.failed[item] = str(error)
            continue
        if picks is None:
            result.failed[item] = f"{micrograph.name}: {reason or f'crYOLO wrote no coordinates; see {out_dir / LOG}'}"
            continue
        job.add(item, job.write(item, picks))
        result.done.append(item)
        result.diameters.append(picks.diameter[picks.diameter > 0])
    return result


def _provide(micrograph: Micrograph, place: Path) -> None:
    """Link a micrograph, or write it as a plain image where crYOLO would not read it, or would turn it upside down.

    Raises
    ------
    UserError
        If it is no complete image.
    """
    header = read_header(micrograph.name)
    source = Path(micrograph.name).absolute()
    is_half = header.dtype.kind == "f" and header.dtype.itemsize == 2  # not every crYOLO reads it
    is_plain = header.space_group == 0 and header.nz == 1 and not is_half
    if is_plain and source.stat().st_size >= header.expected_bytes:
        place.symlink_to(source)
        return
    image = micrograph.image()
    check_pixels(image, micrograph.name)
    write_stack(place, image[None], micrograph.pixel_size or 1.0)


def _call(settings: CryoloSettings, work: Path, images: Path, output: Path, log: Path, progress: Progress) -> str:
    """Run crYOLO; return why it failed, nothing if it did not."""
    config = work / "config.json"
    config.write_text(configuration(settings, work / "filtered", work / "logs"), encoding="utf-8")
    begin = log.stat().st_size if log.exists() else 0
    with open(log, "ab") as stream:
        words = picking_words(settings, config, images, output)
        try:
            code = watched(words, progress, stream, stream, cwd=work, env=environment(settings))
        except OSError as error:
            raise UserError(f"crYOLO {settings.program} cannot be started ({error.strerror}); install it again") from error
    if code == 0:
        return ""
    said = log.read_bytes()[begin:].decode("utf-8", errors="replace")
    last = " | ".join(line.strip() for line in said.strip().splitlines()[-_LAST_LINES:])
    return f"crYOLO ended with exit code {code}: {last or 'it said nothing'}"


def _size_remark(diameters: Sequence[np.ndarray]) -> tuple[str, ...]:
    known = np.concatenate(diameters) if diameters else np.empty(0)
    return (f"crYOLO estimates a particle diameter of {np.median(known):.0f} A",) if len(known) else ()
