"""Start maps and solvent masks given by the user, brought to the particles' box and pixel size."""

import logging
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.imaging.filters import lowpass_to_shell
from relion4plugin.imaging.fourier import round_half_away
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.refinement.images import MASK_EDGE
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.settings import RefinementSettings

_log = logging.getLogger(__name__)

SAME_PIXEL = 0.01  # relative difference of pixel sizes that is ignored


def reference_paths(reference: str) -> list[Path]:
    """List the maps that a setting names: one map, or those of a STAR file's rlnReferenceImage column.

    Names in a STAR file are relative to the working folder or, where they are not found there, to its own.

    Raises
    ------
    UserError
        If the STAR file has no such column.
    """
    path = Path(reference)
    if path.suffix != ".star":
        return [path]
    from relion4plugin.files.star import read_star

    for block in read_star(path).values():
        if "rlnReferenceImage" in block:
            names = block["rlnReferenceImage"]
            names = [names] if isinstance(names, str) else list(names)
            return [Path(name) if Path(name).exists() else _beside(path, str(name)) for name in names]
    raise UserError(f"{path}: no column rlnReferenceImage, expected one map per row; give such a file or a map (.mrc)")


def _beside(star: Path, name: str) -> Path:
    """Find a file named in a STAR file below its folder, else beside it."""
    below = star.parent / name
    return below if below.exists() else star.parent / Path(name).name


def read_cube(path: str | Path) -> tuple[np.ndarray, float]:
    """Read a map float32 (n, n, n) and its pixel size in A (0: unknown).

    Raises
    ------
    UserError
        If it is not a cube of finite numbers.
    """
    volume, pixel_size = read_mrc(path)
    if len(set(volume.shape)) != 1:
        nz, ny, nx = volume.shape
        raise UserError(f"{path}: {nx} x {ny} x {nz} voxels, expected a cubic map; crop or pad it to a cube")
    if not np.isfinite(volume).all():
        bad = int((~np.isfinite(volume)).sum())
        raise UserError(f"{path}: {bad} voxels are not finite numbers, expected a map of finite values; write the map again")
    return volume, pixel_size


def fit_map(volume: np.ndarray, map_pixel: float, box: int, pixel_size: float, name: str) -> np.ndarray:
    """Bring a map to a box (px) and pixel size (A); what is changed is logged.

    Parameters
    ----------
    volume : float32 (n, n, n)
    map_pixel : float
        A, as its header says; 0 where it says nothing.
    name : str
        For messages.

    Raises
    ------
    UserError
        If the pixel size is unknown and the box differs.
    """
    n = len(volume)
    unset = map_pixel <= 0 or (map_pixel == 1.0 and abs(pixel_size - 1.0) > SAME_PIXEL)  # 1 is what programs write that do not know
    if n == box and unset:
        _log.warning("%s: pixel size of %g A in its header, taken as %g A like the particles (same box)", name, map_pixel, pixel_size)
        return volume
    if map_pixel <= 0:
        raise UserError(
            f"{name}: box of {n} px and no pixel size in the header, particles have {box} px; write the pixel size into the map's header"
        )
    same_pixel = abs(map_pixel / pixel_size - 1.0) <= SAME_PIXEL
    if n == box and same_pixel:
        return volume
    from relion4plugin.imaging.volumes import resample_volume

    if same_pixel:
        _log.info("%s: box of %d px brought to %d px", name, n, box)
        return resample_volume(volume, pixel_size, box, pixel_size)
    _log.warning("%s: %d px of %g A rescaled to %d px of %g A", name, n, map_pixel, box, pixel_size)
    return resample_volume(volume, map_pixel, box, pixel_size)


def load_references(settings: RefinementSettings, grid: PaddedGrid, pixel_size: float) -> np.ndarray:
    """Read the start references of a 3D run, low-passed to `initial_lowpass` and masked where `flatten_solvent` says so.

    Parameters
    ----------
    settings : RefinementSettings
    grid : PaddedGrid
        Of the particles' box.
    pixel_size : float
        Of the particles, A.

    Returns
    -------
    float32 (K, N, N, N)
        One map for several classes is copied to all of them.

    Raises
    ------
    UserError
        If a map is missing, is no cube, has values that are not numbers, or the number of maps does not match.
    """
    paths, n_classes = reference_paths(settings.reference), settings.n_classes
    if len(paths) not in (1, n_classes):
        raise UserError(f"{settings.reference}: {len(paths)} maps for {n_classes} classes, expected 1 or {n_classes}; correct --ref or --K")
    if len(paths) < n_classes:
        _log.info("%s: one map for %d classes, copied to all", paths[0], n_classes)
    mask = solvent_mask(settings, grid.box, pixel_size) if settings.flatten_solvent else None
    references = np.empty((n_classes, *(grid.box,) * 3), np.float32)
    for k, path in enumerate(paths):
        volume = lowpass_start(fit_map(*read_cube(path), grid.box, pixel_size, str(path))[None], settings, pixel_size)[0]
        references[k] = volume if mask is None else volume * mask
    references[len(paths) :] = references[0]
    return references


def lowpass_start(references: np.ndarray, settings: RefinementSettings, pixel_size: float) -> np.ndarray:
    """Low-pass filter maps (K, N, N, N) to `initial_lowpass`, where one is set."""
    if settings.initial_lowpass <= 0:
        return references
    shell = max(1, round_half_away(references.shape[-1] * pixel_size / settings.initial_lowpass))
    return np.stack([lowpass_to_shell(volume, shell) for volume in references])


def solvent_mask(settings: RefinementSettings, box: int, pixel_size: float) -> np.ndarray:
    """Return the mask that flattens the solvent, float32 (N, N, N), 0..1: the user's, else a soft sphere of the particle's diameter.

    Raises
    ------
    UserError
        If the mask has another box than the particles or values beyond 0..1.
    """
    if not settings.solvent_mask:
        return soft_sphere(box, settings.particle_diameter / 2 / pixel_size, MASK_EDGE)
    name = settings.solvent_mask
    volume, map_pixel = read_cube(name)
    mask = fit_map(volume, map_pixel, box, pixel_size, name)
    low, high = float(volume.min()), float(volume.max())
    if low < -1e-3 or high > 1 + 1e-3:
        raise UserError(f"{name}: values from {low:.3g} to {high:.3g}, expected 0 to 1; make a mask with the mask creation job")
    if not mask.any():
        raise UserError(f"{name}: the mask is zero everywhere, expected 1 inside the particle; make it with a lower threshold")
    return np.clip(mask, 0.0, 1.0)
