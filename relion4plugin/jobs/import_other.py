"""Import of files that do not come from the microscope: coordinates, half maps, particles, maps and masks."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path, atomic_write_text
from relion4plugin.files.job_names import without_job
from relion4plugin.files.mrc import read_header
from relion4plugin.files.star import Block, read_star, write_star
from relion4plugin.jobs.import_movies import matching_files
from relion4plugin.jobs.import_parameters import COORDINATES, HALF_MAP, PARTICLES, ImportParameters, other_half, other_names
from relion4plugin.jobs.map_jobs import prepare_map_output, require_file
from relion4plugin.progress import Progress


@dataclass(frozen=True)
class OtherImport:
    """The files that stand for the import, the number of files that were copied, and what may surprise."""

    files: tuple[Path, ...]
    n_copied: int
    remarks: tuple[str, ...]


def import_other(parameters: ImportParameters, out_dir: Path, progress: Progress, is_continue: bool, overwrite: bool) -> OtherImport:
    """Import one file, a pair of half maps or a set of coordinate files (see `import_job.run` for the arguments).

    Raises
    ------
    UserError
        If a file is missing or not what it should be, or the disk is full.
    """
    p = parameters
    names = other_names(p.node_type, p.fn_in_other)
    sources = _sources(p)
    blocks, remarks = _particles(p) if p.node_type == PARTICLES else (None, ())
    needed = sum(source.stat().st_size for source in sources)
    prepare_map_output(out_dir, [] if is_continue else names, needed, overwrite)
    progress.start("Import", len(sources))
    for source in sources:
        target = out_dir / (without_job(source.as_posix()) if p.node_type == COORDINATES else source.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if blocks is not None:
            write_star(target, blocks)
        else:
            _copy(source, target)
        progress.advance(1)
    progress.finish()
    if p.node_type == COORDINATES:
        atomic_write_text(out_dir / names[0], f"{p.fn_in_other.partition('*')[0]}*.mrc\n")
    return OtherImport(tuple(out_dir / name for name in names), len(sources), remarks)


def _sources(p: ImportParameters) -> list[Path]:
    """Return the files to copy, checked as far as their names tell what they are."""
    if p.node_type == COORDINATES:
        found = [Path(name) for name in matching_files(p.fn_in_other) if Path(name).is_file()]
        if not found:
            raise UserError(f"no file matches fn_in_other '{p.fn_in_other}' in {Path.cwd()}: correct the pattern")
        return found
    source = Path(p.fn_in_other)
    sources = [source]
    if p.node_type == HALF_MAP:
        other = other_half(source.name)
        if other == source.name:
            raise UserError(f"half map {source}: expected half1 or half2 in its name, so that the other one can be found; rename both")
        sources.append(source.with_name(other))
    for path in sources:
        require_file(str(path), "file to import", "--fn_in_other")
        if path.suffix.lower() in (".mrc", ".mrcs"):
            _check_complete(path)
    return sources


def _check_complete(path: Path) -> None:
    header = read_header(path)
    found = path.stat().st_size
    if found < header.expected_bytes:
        raise UserError(f"{path}: truncated file, expected {header.expected_bytes} bytes, found {found}; copy it again")


def _copy(source: Path, target: Path) -> None:
    if target.exists() and source.samefile(target):
        return
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _particles(p: ImportParameters) -> tuple[dict[str, Block] | None, tuple[str, ...]]:
    """Return the tables where the optics group is renamed, None where the file is copied as it is; and remarks."""
    path = Path(p.fn_in_other)
    blocks = read_star(path)
    table = next((blocks[name] for name in ("particles", "", "images") if isinstance(blocks.get(name), pd.DataFrame)), None)
    if not isinstance(table, pd.DataFrame) or "rlnImageName" not in table.columns:
        raise UserError(f"{path} has no particles: expected a table data_particles with rlnImageName")
    remarks = _missing_stacks([str(name) for name in table["rlnImageName"]])
    if not p.optics_group_particles:
        return None, remarks
    optics = blocks.get("optics")
    if not isinstance(optics, pd.DataFrame) or "rlnOpticsGroupName" not in optics.columns:
        raise UserError(f"{path} has no optics groups to rename: leave optics_group_particles empty")
    if len(optics) != 1:
        raise UserError(f"{path} has {len(optics)} optics groups, but only a single one can be renamed: leave optics_group_particles empty")
    return {**blocks, "optics": optics.assign(rlnOpticsGroupName=p.optics_group_particles)}, remarks


def _missing_stacks(names: Sequence[str]) -> tuple[str, ...]:
    stacks = dict.fromkeys(name.rpartition("@")[2] for name in names)
    missing = [stack for stack in stacks if not Path(stack).is_file()]
    if not missing:
        return ()
    return (f"{len(missing)} of {len(stacks)} image stacks of the particles are not there, the first one is {missing[0]}; link them in",)
