"""All quality figures of one 2D classification run, ours or RELION's, against the truth of its simulated stack."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import metrics
import numpy as np
import pandas as pd
from matching import make_library, match_class
from projections import transform_map
from scipy.spatial import cKDTree

from relion4plugin.errors import UserError
from relion4plugin.files.model_star import Class2DResults, read_class2d_results
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.geometry.healpix import directions

N_LARGEST = 10
LABEL_ORDER = 0  # HEALPix order of the view labels: 12 directions, fewer than the usual number of classes


@dataclass(frozen=True)
class Truth:
    """What is known about a simulated stack."""

    star: Path  # angles, rlnSimulatedKind, rlnSimulatedView, rlnSimulatedIsParticle (0 for junk)
    true_map: Path | None  # the density that was projected; None leaves the FRC out
    diameter: float  # A, of the mask on class averages and projections


def view_directions(table: pd.DataFrame) -> np.ndarray:
    """Unit view vectors (n, 3) of a particle table: third row of the rotation matrix."""
    rot, tilt = (table[label].to_numpy(dtype=np.float64) for label in ("rlnAngleRot", "rlnAngleTilt"))
    return np.asarray(euler_to_matrix(rot, tilt, np.zeros_like(rot)))[:, 2, :]


def view_labels(table: pd.DataFrame) -> np.ndarray:
    """Label of the true view of each particle: its preferred view, or its nearest direction of a coarse grid."""
    if "rlnSimulatedView" in table and (table["rlnSimulatedView"].to_numpy(dtype=int) > 0).all():
        return table["rlnSimulatedView"].to_numpy(dtype=int)
    rot, tilt = directions(LABEL_ORDER)
    grid = np.asarray(euler_to_matrix(rot, tilt, np.zeros_like(rot)))[:, 2, :]
    return np.asarray(cKDTree(grid).query(view_directions(table))[1])


def matching_rows(data: pd.DataFrame, truth: pd.DataFrame, source: Path) -> np.ndarray:
    """Row of a run for each row of the truth, by image name (folders in the names may differ); int64 (n,).

    Raises
    ------
    UserError
        If a particle of the truth is not in the run.
    """

    def keys(names: pd.Series) -> pd.Series:
        return names.str.replace(r"^0*(\d+)@(?:.*/)?", r"\1@", regex=True)

    rows = pd.Series(np.arange(len(data)), index=keys(data["rlnImageName"]))
    if rows.index.has_duplicates:
        raise UserError(f"{source}: image names are not unique once folders are left out; give each stack its own name")
    found = rows.reindex(keys(truth["rlnImageName"])).to_numpy(dtype=float)
    if np.isnan(found).any():
        raise UserError(f"{source}: {int(np.isnan(found).sum())} particles of the truth are not in it; compare runs of the same stack")
    return np.asarray(found.astype(np.int64))


def joined(data: pd.DataFrame, truth: pd.DataFrame, source: Path) -> pd.DataFrame:
    """Bring the class numbers of a run to the rows of the truth.

    Raises
    ------
    UserError
        If a particle of the truth is not in the run.
    """
    return truth.assign(found_class=data["rlnClassNumber"].to_numpy(dtype=int)[matching_rows(data, truth, source)])


def evaluate(run_dir: Path, truth: Truth, healpix_order: int = 3) -> dict[str, Any]:
    """Quality figures of the newest iteration of a run.

    Parameters
    ----------
    run_dir : Path
        Directory with ``run_itNNN_*.star``.
    truth : Truth
        Truth of the stack that was classified.
    healpix_order : int
        Views searched for the FRC.

    Returns
    -------
    dict
        purity (views and kinds), majority_fraction, effective_classes, empty_classes, view_spread (degrees), and with a map
        frc_resolution (list per class, A) and frc_resolution_ten (mean of the ten most populated, A).
    """
    results = read_class2d_results(run_dir)
    table = joined(particle_table(results.data_star), particle_table(truth.star), results.data_star)
    classes = table["found_class"].to_numpy()
    kinds = table["rlnSimulatedKind"].astype(str).to_numpy() if "rlnSimulatedKind" in table else np.full(len(table), "particle")
    genuine = table["rlnSimulatedIsParticle"].to_numpy(dtype=int) > 0 if "rlnSimulatedIsParticle" in table else kinds == "particle"
    views = np.where(genuine, [f"view {v}" for v in view_labels(table)], kinds)
    counts = results.classes["n_particles"].to_numpy()
    figures: dict[str, Any] = {
        "particles": len(table),
        "classes": len(counts),
        "iteration": results.iteration,
        "view_purity": metrics.class_purity(classes, views),
        "kind_purity": metrics.class_purity(classes, kinds),
        "majority_fraction": metrics.majority_fraction(classes, genuine),
        "effective_classes": metrics.effective_classes(counts),
        "empty_classes": int((counts == 0).sum()),
        "view_spread": metrics.view_spread(classes[genuine], view_directions(table[genuine])),
        "estimated_resolution_ten": metrics.mean_resolution(results.classes["resolution"].to_numpy()[largest(counts)]),
    }
    if truth.true_map is not None:
        images = class_images(results)
        figures |= _frc_figures(images, counts, results.pixel_size, truth.true_map, truth.diameter, healpix_order)
    return figures


def particle_table(path: Path) -> pd.DataFrame:
    """Read the particles of a run or their truth.

    Raises
    ------
    UserError
        If the file has no such table.
    """
    table = read_star(path).get("particles")
    if not isinstance(table, pd.DataFrame):
        raise UserError(f"{path}: no table data_particles; expected the particles of a run or their truth")
    return table


def class_images(results: Class2DResults) -> np.ndarray:
    """Class averages float32 (K, N, N) in the order of the classes."""
    return read_mrc(results.classes_path)[0][results.classes["slice_index"].to_numpy()]


def largest(counts: np.ndarray) -> np.ndarray:
    """Return the most populated classes (0-based), at most N_LARGEST, by falling count."""
    return np.argsort(-counts, kind="stable")[:N_LARGEST]


def _frc_figures(
    images: np.ndarray, counts: np.ndarray, pixel_size: float, true_map: Path, diameter: float, healpix_order: int
) -> dict[str, Any]:
    volume, voxel = read_mrc(true_map)
    library = make_library(transform_map(volume, voxel), images.shape[-1], pixel_size, healpix_order)
    resolutions = np.array([match_class(image, library, diameter).resolution for image in images])
    return {"frc_resolution": resolutions, "frc_resolution_ten": metrics.mean_resolution(resolutions[largest(counts)])}
