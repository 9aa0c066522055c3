"""Comparison with the truth, in the report of a session of simulated movies."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.model3d_star import Class3DResults, Refine3DResults, is_3d_run, read_3d_results
from relion4plugin.files.mrc import read_mrc
from relion4plugin.preprocessing.picking.picks import read_picks
from relion4plugin.simulation.compare_ctf import CtfErrors, ctf_errors
from relion4plugin.simulation.compare_map import MapTruth, map_truth
from relion4plugin.simulation.compare_motion import MotionErrors, motion_errors
from relion4plugin.simulation.compare_picks import PickTruth, pick_truth
from relion4plugin.simulation.known_truth import KnownTruth, find_truth, movie_key, read_truth
from relion4plugin.web.charts import Series, line_chart
from relion4plugin.web.distributions import Group, histogram, points
from relion4plugin.web.images import png_data_uri
from relion4plugin.web.page import card, figure, note, table
from relion4plugin.web.session_data import Session, StageFile, numbers, pixel_size, table_of
from relion4plugin.web.session_picks import pick_diameter
from relion4plugin.web.volume_views import at_most, common_levels, volume_views
from relion4plugin.web.wording import angstrom

_MOST_MOVIES = 200  # whose motion is compared, evenly over the session
_MOST_MICROGRAPHS = 300  # whose picks are compared
_MOST_DENSITIES = 4
_COORDINATES = ["rlnCoordinateX", "rlnCoordinateY"]


def truth_section(session: Session) -> str:
    """Return how far the results agree with the truth; "" where none is known."""
    root = session.truth or find_truth(session.root, _some_movies(session))
    if root is None:
        return ""
    truth = read_truth(root)
    figures, cards = [], []
    for part in (_motion, _ctf, _picks, _map):
        boxes, drawn = part(session, truth)
        figures += boxes
        cards += drawn
    key = f"The movies are simulated. Motion is compared for up to {_MOST_MOVIES} of them, picks for up to {_MOST_MICROGRAPHS}."
    body = f'<dl class="figures">{"".join(figures)}</dl><p></p><div class="charts">{"".join(cards)}</div>'
    return f'<h2>Comparison with the truth</h2><p class="key">{key}</p>{body}'


def _some_movies(session: Session) -> list[Path]:
    if session.movies is None:
        return []
    movies, _ = table_of(session.movies.path, "movies")
    return [session.path(str(name)) for name in movies["rlnMicrographMovieName"].iloc[:1]]


def _evenly(names: list[str], most: int) -> list[int]:
    """Return up to `most` positions in a list, evenly spread."""
    return [int(i) for i in np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round())] if names else []


def _motion(session: Session, truth: KnownTruth) -> tuple[list[str], list[str]]:
    if session.motion is None:
        return [], []
    micrographs, _ = table_of(session.motion.path, "micrographs")
    if "rlnMicrographMetadata" not in micrographs:
        return [], []
    names, files = micrographs["rlnMicrographName"].astype(str).tolist(), micrographs["rlnMicrographMetadata"].astype(str).tolist()
    errors = motion_errors(truth, {movie_key(names[i]): session.path(files[i]) for i in _evenly(names, _MOST_MOVIES)})
    if not np.isfinite(errors.whole).any():
        return [], []
    boxes = [
        figure("Drift error", f"{np.nanmedian(errors.whole):.2f} px", _worst(errors.whole, "px rms, median")),
        figure("Local motion error", f"{np.nanmedian(errors.local):.2f} px", _worst(errors.local, "px rms, median")),
    ]
    return boxes, [card("Error of the motion", _motion_chart(errors))]


def _worst(values: np.ndarray, words: str) -> str:
    return f"{words}; worst {np.nanmax(values):.2f}"


def _motion_chart(errors: MotionErrors) -> str:
    order = np.arange(1, len(errors.keys) + 1)
    groups = [Group("whole frames", errors.whole, "s0"), Group("local", errors.local, "s4")]
    return points("Error of the motion", order, groups, x_label="movie", y_label="px rms")


def _ctf(session: Session, truth: KnownTruth) -> tuple[list[str], list[str]]:
    if session.ctf is None:
        return [], []
    micrographs, _ = table_of(session.ctf.path, "micrographs")
    errors = ctf_errors(truth, micrographs)
    if not np.isfinite(errors.defocus_error).any():
        return [], []
    size = np.abs(errors.defocus_error)
    boxes = [
        figure("Defocus error", f"{np.nanmedian(size):.0f} Å", f"median; within 150 Å: {_share(size <= 150, size)}"),
        figure("Astigmatism error", f"{np.nanmedian(np.abs(errors.astigmatism_error)):.0f} Å", "median"),
    ]
    angles = np.abs(errors.angle_error)
    if np.isfinite(angles).any():
        boxes.append(figure("Astigmatism angle", f"{np.nanmedian(angles):.1f}°", f"median; within 5°: {_share(angles <= 5, angles)}"))
    return boxes, [_ctf_card(errors)]


def _share(good: np.ndarray, known: np.ndarray) -> str:
    finite = np.isfinite(known)
    return f"{100 * float(good[finite].mean()):.0f} %"


def _ctf_card(errors: CtfErrors) -> str:
    group = [Group("", errors.defocus_error, "s2")]
    chart = points(
        "Defocus found less true", errors.defocus * 1e-4, group, x_label="true defocus (µm)", y_label="Å", from_zero=False, whole_x=False,
        levels=(0.0,),
    )  # fmt: skip
    return card("Defocus: found less true", chart)


def _picks(session: Session, truth: KnownTruth) -> tuple[list[str], list[str]]:
    """Compare picks, extracted and selected particles."""
    size, rows, boxes, cards = _size(session), [], [], []
    distance = pick_diameter(session, size) / 2
    if session.picks is not None:
        scores: list[np.ndarray] = []
        found = pick_truth(truth, _pick_files(session, session.picks, scores), size, distance)
        rows.append(_row("Picks", found))
        boxes = [
            figure("Picking precision", f"{100 * found.agreement.precision:.0f} %", "of the picks are particles"),
            figure("Picking recall", f"{100 * found.agreement.recall:.0f} %", "of the particles were picked"),
        ]
        cards.append(card("Figures of merit", _merit_chart(found, np.concatenate([*scores, np.zeros(0)]))))
    for name, stage in (("Extracted", session.extracted), ("Selected", session.selected)):
        particles = _coordinates(session, stage)
        if len(particles):
            found = pick_truth(truth, _by_micrograph(particles), size, distance)
            rows.append(_row(f"{name} particles", found))
            if name == "Selected":
                boxes.append(figure("True among selected", f"{100 * found.agreement.precision:.0f} %", "of the selected particles"))
    header = ("", "Micrographs", "Number", "Of them true", "True share", "There are", "Found")
    if rows:
        cards.append(card("Picks and particles", table(header, rows), wide=True))
    return boxes, cards


def _size(session: Session) -> float:
    stage = session.micrographs or session.ctf or session.motion
    return pixel_size(table_of(stage.path, "micrographs")[1]) if stage is not None else 1.0


def _row(name: str, found: PickTruth) -> tuple[str, ...]:
    one = found.agreement
    shares = (f"{100 * one.precision:.1f} %", f"{one.n_true:,}", f"{100 * one.recall:.1f} %")
    return name, f"{found.n_micrographs:,}", f"{one.n_picks:,}", f"{one.n_matched:,}", *shares


def _pick_files(session: Session, stage: StageFile, scores: list[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Give micrographs with their picks; their figures of merit are appended to `scores`."""
    listed, _ = table_of(stage.path, "coordinate_files")
    names, files = listed["rlnMicrographName"].astype(str).tolist(), listed["rlnMicrographCoordinates"].astype(str).tolist()
    for i in _evenly(names, _MOST_MICROGRAPHS):
        picks = read_picks(session.path(files[i]))
        scores.append(picks.score)
        yield names[i], picks.centres


def _merit_chart(found: PickTruth, scores: np.ndarray) -> str:
    if len(scores) != len(found.is_true):  # picks of a micrograph without a truth
        return ""
    groups = [Group("particles", scores[found.is_true], "s2"), Group("others", scores[~found.is_true], "s4")]
    return histogram("Figures of merit of right and wrong picks", groups, x_label="figure of merit", y_label="picks")


def _coordinates(session: Session, stage: StageFile | None) -> pd.DataFrame:
    if stage is None:
        return pd.DataFrame()
    is_extracted = session.extracted is not None and stage.path == session.extracted.path
    particles = session.particles if is_extracted else table_of(stage.path, "particles")[0]
    return particles if {"rlnMicrographName", *_COORDINATES} <= set(particles) else pd.DataFrame()


def _by_micrograph(particles: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    names = particles["rlnMicrographName"].astype(str)
    micrographs = names.drop_duplicates().tolist()
    chosen = {micrographs[i] for i in _evenly(micrographs, _MOST_MICROGRAPHS)}
    shown = particles[names.isin(chosen)]
    centres = np.column_stack([numbers(shown, label) for label in _COORDINATES])
    for name, rows in shown.reset_index(drop=True).groupby("rlnMicrographName").indices.items():
        yield str(name), centres[rows]


def _map(session: Session, truth: KnownTruth) -> tuple[list[str], list[str]]:
    """Compare the refined map, or else the initial model."""
    stage = session.directory(is_3d_run, "relion.refine3d") or session.directory(is_3d_run, "relion.initialmodel")
    if stage is None or not truth.maps:
        return [], []
    try:
        results = read_3d_results(stage.directory)
        initial = stage.directory / "initial_model.mrc"
        volume, size = read_mrc(initial if initial.is_file() else results.maps[0])
        found = map_truth(volume, size, truth.maps[:_MOST_DENSITIES], _symmetry(session, stage))
    except UserError as error:
        return [], [note(str(error), warning=True)]
    hand = "the other hand" if found.mirrored else "the right hand"
    boxes = [
        figure("Map and truth", angstrom(found.resolution), f"FSC 0.5, {stage.name}"),
        figure("Correlation", f"{found.correlation:.2f}", f"of map and truth; {hand}"),
    ]
    return boxes, [_map_card(found, results, size), _slices_card(found)]


def _symmetry(session: Session, stage: StageFile) -> str:
    return stage.option("sym_name", "C1") or "C1"


def _map_card(found: MapTruth, results: Class3DResults, size: float) -> str:
    n = found.truth.shape[0]
    x = [i / (n * size) for i in range(len(found.fsc))]
    series = [Series("map and truth", [min(float(v), 1.0) for v in found.fsc], "s4")]
    halves = results.fsc[: len(x)] if isinstance(results, Refine3DResults) else np.zeros(0)
    if len(halves) == len(x) and np.isfinite(halves).all():
        series.append(Series("between halves", [float(v) for v in halves], "s0"))
    drawn = line_chart(
        "FSC with the truth", x, series, x_label="resolution (Å)", y_label="FSC", from_zero=True, reciprocal=True, levels=(0.143, 0.5)
    )
    return card("FSC of the map with the truth", drawn)


def _slices_card(found: MapTruth) -> str:
    rows = []
    for words, volume in (("map", found.aligned), ("truth", found.truth)):
        images = common_levels(volume_views(volume).slices)
        pictures = "".join(
            f'<figure><img src="{png_data_uri(at_most(image))}" alt="{words}: central slice across {axis}">'
            f"<figcaption>{words}, across {axis}</figcaption></figure>"
            for axis, image in zip("zyx", images, strict=True)
        )
        rows.append(f'<div class="views">{pictures}</div>')
    return card("Central slices: the map, turned onto the truth, and the truth", "".join(rows))
