"""Where the positions of an extraction come from: the picks of each micrograph, or refined particles."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.coordinates import MICROGRAPH, X, Y, read_coordinate_list, read_coordinates
from relion4plugin.files.job_names import output_root, without_job
from relion4plugin.files.particles import ParticleSet, read_particles
from relion4plugin.jobs.extract_parameters import ExtractParameters
from relion4plugin.jobs.star_rows import RowFile, read_rows
from relion4plugin.preprocessing.extraction.recentre import projected_point, recentred

FOM = "rlnAutopickFigureOfMerit"
_GROUP, _GROUP_NAME, _PIXEL = "rlnOpticsGroup", "rlnOpticsGroupName", "rlnMicrographPixelSize"
_QUALITY = ("rlnCtfMaxResolution", "rlnCtfFigureOfMerit")
# What a CTF has besides defocus, with RELION's defaults; the other defocus is the first one where it is missing.
_CTF = {"rlnDefocusV": None, "rlnDefocusAngle": 0.0, "rlnCtfBfactor": 0.0, "rlnCtfScalefactor": 1.0, "rlnPhaseShift": 0.0}
_ORIGINS = ("rlnOriginXAngst", "rlnOriginYAngst")
_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")


@dataclass(frozen=True, eq=False)
class Micrographs:
    """The micrographs of an extraction.

    `roots` are where their particles go, without suffix; `pixel_sizes` are in A; `ctf` has one row each, and no columns where nothing is
    known of the CTF.
    """

    source: Path
    names: tuple[str, ...]
    roots: tuple[Path, ...]
    groups: np.ndarray
    pixel_sizes: np.ndarray
    ctf: pd.DataFrame
    optics: pd.DataFrame


class Source(Protocol):
    """Positions to extract from."""

    optics: pd.DataFrame  # of the particles, with the pixel sizes of the micrographs
    remarks: tuple[str, ...]

    def rows(self, micrograph: int) -> pd.DataFrame | None:
        """Return the particles of a micrograph with coordinates; None where nothing is known of them."""

    def columns(self, micrograph: int) -> dict[str, Any]:
        """Return what the micrograph tells of each of its particles."""


def read_micrographs(star: str, out_dir: Path) -> Micrographs:
    """Read the micrographs with optics and CTF.

    Raises
    ------
    UserError
        If the file has no micrographs or optics, or two micrographs would write the same files.
    """
    rows = read_rows(star, "micrographs", "--i")
    if MICROGRAPH not in rows.rows.columns:
        raise UserError(f"{rows.path}: there is no column {MICROGRAPH}; give a STAR file of corrected micrographs with CTF")
    optics = rows.others.get("optics")
    needed = (_GROUP, _GROUP_NAME, _PIXEL)
    missing = [label for label in needed if not isinstance(optics, pd.DataFrame) or label not in optics.columns]
    if not isinstance(optics, pd.DataFrame) or missing:
        raise UserError(f"{rows.path}: data_optics has no {missing[0]}; give a STAR file of micrographs of RELION 3.1 or later")
    names = tuple(str(name) for name in rows.column(MICROGRAPH))
    roots = tuple(output_root(out_dir, name) for name in names)
    if len(set(roots)) < len(roots):
        first = pd.Series(roots).duplicated(keep=False).to_numpy().nonzero()[0]
        raise UserError(f"{rows.path}: {names[first[0]]} and {names[first[1]]} would write the same particles; leave one of them out")
    groups = rows.numbers(_GROUP).astype(np.int64)
    return Micrographs(rows.path, names, roots, groups, _pixel_sizes(optics, groups, rows.path), _ctf(rows), optics)


def _pixel_sizes(optics: pd.DataFrame, groups: np.ndarray, source: Path) -> np.ndarray:
    sizes = pd.to_numeric(optics[_PIXEL], errors="coerce")
    if not (sizes > 0).all():
        raise UserError(f"{source}: {_PIXEL} in data_optics must be a number above 0; correct it")
    of_group = dict(zip(optics[_GROUP].astype(int), sizes, strict=True))
    unknown = set(groups.tolist()) - set(of_group)
    if unknown:
        raise UserError(f"{source}: a micrograph is in optics group {min(unknown)}, which data_optics does not have; add it")
    return np.array([of_group[group] for group in groups.tolist()], dtype=np.float64)


def _ctf(rows: RowFile) -> pd.DataFrame:
    has = rows.rows.columns
    found = {label: rows.numbers(label) for label in _QUALITY if label in has}
    if "rlnDefocusU" in has:
        found["rlnDefocusU"] = rows.numbers("rlnDefocusU")
        for label, default in _CTF.items():
            missing = found["rlnDefocusU"] if default is None else np.full(len(rows.rows), default)
            found[label] = rows.numbers(label) if label in has else missing
    return pd.DataFrame(found, index=range(len(rows.rows)))


def optics_of_boxes(optics: pd.DataFrame, scale: float, size: int) -> pd.DataFrame:
    """Return the optics table of extracted particles.

    Parameters
    ----------
    optics
        Table of the micrographs, or of particles that were extracted before, with rlnMicrographPixelSize.
    scale
        Pixels of the micrograph in one of the new images, along one axis.
    size
        Side of the new images, px.
    """
    pixel_size = pd.to_numeric(optics[_PIXEL]).astype(np.float64) * scale
    return optics.drop(columns=_PIXEL).assign(
        rlnImagePixelSize=pixel_size, rlnImageSize=size, rlnImageDimensionality=2, rlnCtfDataAreCtfPremultiplied=0
    )


class Picks:
    """Coordinates of a picking job.

    Raises
    ------
    UserError
        If the list of coordinates cannot be read.
    """

    def __init__(self, p: ExtractParameters, micrographs: Micrographs) -> None:
        self._micrographs, self.optics = micrographs, micrographs.optics
        self._threshold = p.minimum_pick_fom if p.do_fom_threshold else None
        self._list = read_coordinate_list(p.coords_suffix)
        unknown = self._list.not_among(micrographs.names)
        self.remarks: tuple[str, ...] = ()
        if unknown:
            self.remarks = (f"coordinates of {len(unknown)} micrographs are not used, as {p.star_mics} lacks them; first: {unknown[0]}",)
        if "rlnDefocusU" not in micrographs.ctf.columns:
            self.remarks += (f"{p.star_mics} has no CTF (rlnDefocusU): the particles have none either",)

    def rows(self, micrograph: int) -> pd.DataFrame | None:
        """Return the picks of a micrograph above the threshold."""
        path = self._list.file_of(self._micrographs.names[micrograph])
        if path is None:
            return None
        picks = read_coordinates(path)
        if self._threshold is None or not len(picks):
            return picks
        if FOM not in picks.columns:
            raise UserError(f"{path} has no scores ({FOM}), but do_fom_threshold is Yes: set it to No")
        return picks[pd.to_numeric(picks[FOM], errors="coerce") >= self._threshold]

    def columns(self, micrograph: int) -> dict[str, Any]:
        """Return name, optics group and CTF of a micrograph."""
        ctf: dict[Hashable, Any] = self._micrographs.ctf.iloc[micrograph].to_dict()
        name, group = self._micrographs.names[micrograph], int(self._micrographs.groups[micrograph])
        return {MICROGRAPH: name, _GROUP: group, **{str(label): value for label, value in ctf.items()}}


class RefinedParticles:
    """Particles that were extracted and refined before; they keep their CTF.

    Raises
    ------
    UserError
        If they cannot be read, lack what recentring needs, or have optics that the micrographs lack.
    """

    def __init__(self, p: ExtractParameters, micrographs: Micrographs) -> None:
        self._micrographs = micrographs
        particles = read_particles(p.fndata_reextract)
        for label in (X, Y, MICROGRAPH):
            if label not in particles.table:
                raise UserError(f"{particles.source}: there is no column {label}, so particles cannot be extracted again")
        of = _micrograph_of(particles.table[MICROGRAPH], micrographs.names)
        kept = of >= 0
        order = np.flatnonzero(kept)[np.argsort(of[kept], kind="stable")]
        self._starts = np.searchsorted(of[order], np.arange(len(micrographs.names) + 1))
        chosen = particles.select(order)
        self._table = chosen.table.assign(**_moved(p, chosen, micrographs.pixel_sizes[of[order]]))
        self.optics = _with_micrograph_sizes(particles.optics_table, micrographs, particles.source)
        left = int(len(kept) - kept.sum())
        self.remarks: tuple[str, ...] = (f"{left} particles lie in micrographs that {p.star_mics} lacks: left out",) if left else ()

    def rows(self, micrograph: int) -> pd.DataFrame | None:
        """Return the particles of a micrograph at their new positions."""
        table = self._table.iloc[self._starts[micrograph] : self._starts[micrograph + 1]]
        return table if len(table) else None

    def columns(self, micrograph: int) -> dict[str, Any]:
        """Return the name of a micrograph."""
        return {MICROGRAPH: self._micrographs.names[micrograph]}


def _micrograph_of(names: "pd.Series", known: Sequence[str]) -> np.ndarray:
    """Return the number of each particle's micrograph, -1 where there is none; names count without job directories."""
    numbers: Mapping[str, int] = {without_job(name): i for i, name in enumerate(known)} | {name: i for i, name in enumerate(known)}
    codes, found = pd.factorize(names.astype(str))
    return np.array([numbers.get(name, numbers.get(without_job(name), -1)) for name in found], dtype=np.int64)[codes]


def _with_micrograph_sizes(optics: pd.DataFrame, micrographs: Micrographs, source: Path) -> pd.DataFrame:
    """Give the optics groups of particles the pixel size of the micrographs' groups of the same name."""
    if _GROUP_NAME not in optics:
        raise UserError(f"{source}: data_optics has no column {_GROUP_NAME}; add it")
    sizes = dict(zip(micrographs.optics[_GROUP_NAME], pd.to_numeric(micrographs.optics[_PIXEL]), strict=True))
    missing = [name for name in optics[_GROUP_NAME] if name not in sizes]
    if missing:
        raise UserError(f"{source}: optics group {missing[0]} is not in {micrographs.source}; give the micrographs of these particles")
    return optics.assign(**{_PIXEL: [sizes[name] for name in optics[_GROUP_NAME]]})


def _moved(p: ExtractParameters, particles: ParticleSet, micrograph_pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return coordinates and offsets after resetting or recentring."""
    table = particles.table
    coordinates = np.stack([particles.column(label) for label in (X, Y)], axis=1)
    if p.do_reset_offsets:
        reset = {label: np.zeros(len(table)) for label in _ORIGINS if label in table}
        return {X: coordinates[:, 0], Y: coordinates[:, 1], **reset}
    if not p.do_recenter:
        return {X: coordinates[:, 0], Y: coordinates[:, 1]}
    offsets = np.stack([particles.column(label) for label in _ORIGINS], axis=1)
    point = np.array([p.recenter_x, p.recenter_y, p.recenter_z])
    if point.any():
        sizes = {particles.optics[i].pixel_size for i in np.unique(particles.optics_index)}
        if len(sizes) > 1:
            raise UserError(f"{particles.source}: particles have different pixel sizes, so that recenter_x, y, z in px mean no one point")
        angles = np.stack([particles.column(label) for label in _ANGLES], axis=1)
        offsets = offsets - projected_point(point * max(sizes, default=1.0), angles)
    coordinates, offsets = recentred(coordinates, offsets, micrograph_pixels)
    return {X: coordinates[:, 0], Y: coordinates[:, 1], _ORIGINS[0]: offsets[:, 0], _ORIGINS[1]: offsets[:, 1]}
