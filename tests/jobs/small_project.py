"""A folder with a few small particle images, maps and engines that only remember what they were asked."""

import sys
from pathlib import Path
from types import SimpleNamespace

import mrcfile
import numpy as np
import pandas as pd

from relion4plugin.files.mrc import write_volume
from relion4plugin.files.star import write_star

BOX, N, PIXEL = 16, 6, 3.0


def make_project(folder: Path) -> None:
    with mrcfile.new(folder / "stack.mrcs", data=np.random.default_rng(0).normal(size=(N, BOX, BOX)).astype(np.float32)) as mrc:
        mrc.voxel_size = PIXEL
    write_particles_star(str(folder / "particles.star"), N)
    write_map(folder / "map.mrc")
    write_map(folder / "mask.mrc")


def write_map(path: Path | str, box: int = BOX, pixel_size: float = PIXEL) -> None:
    write_volume(path, np.ones((box, box, box), np.float32), pixel_size)


def write_particles_star(path: str, n: int, box: int = BOX, stack: str = "stack.mrcs", angles: bool = False) -> None:
    optics = pd.DataFrame(
        {
            "rlnOpticsGroup": [1],
            "rlnOpticsGroupName": ["opticsGroup1"],
            "rlnVoltage": [300.0],
            "rlnSphericalAberration": [2.7],
            "rlnAmplitudeContrast": [0.1],
            "rlnImagePixelSize": [PIXEL],
            "rlnImageSize": [box],
            "rlnImageDimensionality": [2],
        }
    )
    particles = pd.DataFrame(
        {
            "rlnImageName": [f"{i + 1:06d}@{stack}" for i in range(n)],
            "rlnMicrographName": ["mic1.mrc"] * n,
            "rlnDefocusU": [10000.0] * n,
            "rlnDefocusV": [10000.0] * n,
            "rlnDefocusAngle": [0.0] * n,
            "rlnOpticsGroup": [1] * n,
        }
    )
    if angles:
        particles = particles.assign(rlnAngleRot=0.0, rlnAngleTilt=0.0, rlnAnglePsi=0.0)
    write_star(path, {"optics": optics, "particles": particles})


class Engine3D:
    """Stands in for the engine: remembers what it was asked and leaves the files that it would."""

    def __init__(self, converged: bool = True) -> None:
        self.converged, self.calls = converged, []

    def __call__(self, settings, particles, out_dir, progress, *, resume=None, stop_after=None):
        self.calls.append((settings, particles, resume))
        progress.start("3D", 1)
        progress.advance(1, "done")
        progress.finish()
        out_dir = Path(out_dir)
        root = f"run_it{settings.n_iterations:03d}"
        (out_dir / f"{root}_optimiser.star").write_text("state")
        maps = tuple(out_dir / f"{root}_class{k + 1:03d}.mrc" for k in range(settings.n_classes))
        halves = tuple(out_dir / f"{root}_half{h}_class001.mrc" for h in (1, 2))
        if settings.auto_refine and self.converged:
            root, maps = "run", (out_dir / "run_class001.mrc",)
            halves = tuple(out_dir / f"run_half{h}_class001_unfil.mrc" for h in (1, 2))
        elif settings.auto_refine:
            maps = halves[:1]
        for path in {*maps, *(halves if settings.auto_refine else ())}:
            path.write_bytes(b"map")
        stars = {f"{kind}_star": out_dir / f"{root}_{kind}.star" for kind in ("data", "model", "optimiser")}
        return SimpleNamespace(**stars, classes=maps[0], maps=maps, half_maps=halves if settings.auto_refine else ())


def let_all_pass(monkeypatch):
    """The images are too few and too small for the engine's own checks."""
    monkeypatch.setattr("relion4plugin.refinement.start.check", lambda settings, particles: None)


def install_engine(monkeypatch, stand_in):
    let_all_pass(monkeypatch)
    monkeypatch.setitem(sys.modules, "relion4plugin.refinement.engine", SimpleNamespace(refine=stand_in))
    return stand_in


class ModelMaker:
    """Stands in for the maker of initial models."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(
        self, settings, particles, out_dir, progress, *, symmetry, restarts, rounds, select, find_symmetry, refine_iterations, resume
    ):
        given = {
            "symmetry": symmetry, "restarts": restarts, "rounds": rounds, "select": select, "find": find_symmetry,
            "refine_iterations": refine_iterations, "resume": resume,
        }  # fmt: skip
        self.calls.append((settings, given))
        write_map(out_dir / "initial_model.mrc")
        root = f"run_it{settings.n_iterations:03d}"
        (out_dir / f"{root}_optimiser.star").write_text("state")
        stars = {f"{kind}_star": out_dir / f"{root}_{kind}.star" for kind in ("data", "model", "optimiser")}
        return SimpleNamespace(
            map=out_dir / "initial_model.mrc",
            class_number=1,
            **stars,
            maps=tuple(out_dir / f"{root}_class{k + 1:03d}.mrc" for k in range(settings.n_classes)),
            agreement={"resolution": 18.5, "restarts": restarts},
            symmetry=symmetry,
            verdict="3 of 3 starts agree to 18.5 A",
            reliable=True,
        )


def install_model_maker(monkeypatch, stand_in):
    let_all_pass(monkeypatch)
    module = SimpleNamespace(make_initial_model=stand_in)
    monkeypatch.setitem(sys.modules, "relion4plugin.refinement.initial_model", module)
    return stand_in
