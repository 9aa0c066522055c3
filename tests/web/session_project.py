"""A small project with all stages of a session and its truth, of invented figures and tiny images."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.files.coordinates import write_coordinate_list
from relion4plugin.files.motion_star import MotionRecord, write_motion
from relion4plugin.files.mrc import write_stack, write_volume
from relion4plugin.files.star import write_star
from relion4plugin.jobs.job_star import JobStar, write_job_star
from relion4plugin.preprocessing.picking.picks import make_picks, write_picks
from relion4plugin.schemes.pipeline import Pipeline, Process, Status
from relion4plugin.schemes.pipeline_star import write_pipeline
from tests.web.fake3d import PIXEL, add_verdict, make_class3d, make_refine3d, toy_map
from tests.web.test_class2d_report import make_run

N, EDGE, SIZE, FRAMES = 6, 96, 4.0, 5  # micrographs, px, A, frames
PLACES = np.array([[20.0, 24.0], [60.0, 30.0], [40.0, 70.0]])  # of the true particles of every micrograph
WRONG = np.array([[85.0, 85.0]])  # one more pick
DRIFT = np.column_stack([np.arange(FRAMES) * 0.5, np.zeros(FRAMES)])  # px
DEFOCUS_ERROR = 40.0  # A
OPTICS = {"rlnOpticsGroup": [1], "rlnOpticsGroupName": ["o1"], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7],
          "rlnAmplitudeContrast": [0.1], "rlnMicrographOriginalPixelSize": [SIZE], "rlnMicrographPixelSize": [SIZE],
          "rlnImagePixelSize": [SIZE], "rlnImageSize": [16]}  # fmt: skip
JOBS = {
    "Import/job001/": ("relion.import.movies", {"movies.star": "MicrographMoviesData.star.relion"}, {}),
    "MotionCorr/job002/": ("relion.motioncorr.own", {"corrected_micrographs.star": "MicrographsData.star.relion.motioncorr"}, {}),
    "CtfFind/job003/": ("relion.ctffind.ctffind4", {"micrographs_ctf.star": "MicrographsData.star.relion.ctf"}, {}),
    "Select/job004/": (
        "relion.select.onvalue", {"micrographs.star": "MicrographsData.star.relion"},
        {"select_label": "rlnCtfMaxResolution", "select_maxval": "4.3"},
    ),
    "AutoPick/job005/": ("relion.autopick.log", {"autopick.star": "MicrographsCoords.star.relion.autopick"}, {"log_diam_max": "60"}),
    "Extract/job006/": ("relion.extract", {"particles.star": "ParticlesData.star.relion"}, {}),
    "Class2D/job007/": ("relion.class2d", {"run_it010_optimiser.star": "ProcessData.star.relion.optimiser.class2d"}, {}),
    "Select/job008/": ("relion.select.class2dauto", {"particles.star": "ParticlesData.star.relion"}, {}),
    "InitialModel/job009/": ("relion.initialmodel", {"initial_model.mrc": "DensityMap.mrc.relion.initialmodel"}, {}),
    "Refine3D/job010/": ("relion.refine3d", {"run_class001.mrc": "DensityMap.mrc.relion.refine3d"}, {"sym_name": "C1"}),
}  # fmt: skip


def stem(i: int) -> str:
    return f"movie_{i + 1:05d}"


def optics(**tables: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"optics": pd.DataFrame(OPTICS), **tables}


def make_session(root: Path, stages: int = len(JOBS), truth: bool = True) -> Path:
    """Write the first stages of a session."""
    names = list(JOBS)[:stages]
    pipeline = Pipeline(counter=stages + 1)
    for name in names:
        label, files, options = JOBS[name]
        (root / name).mkdir(parents=True)
        write_job_star(root / name / "job.star", JobStar(label, False, False, options))
        (root / name / "RELION_JOB_EXIT_SUCCESS").touch()
        pipeline = pipeline.with_process(Process(name, label, Status.SUCCEEDED))
        pipeline = pipeline.with_outputs(name, {name + file: kind for file, kind in files.items()})
    if stages > 7:
        pipeline = pipeline.with_inputs("Select/job008/", {"Class2D/job007/run_it010_optimiser.star": "ProcessData.star.relion.optimiser"})
    for make in (_movies, _motion, _ctf, _select, _picks, _particles, _classes, _ranked, _initial, _refined)[:stages]:
        make(root)
    if truth:
        _truth(root)
    write_pipeline(root / "default_pipeline.star", pipeline)
    return root


def _movies(root: Path) -> None:
    (root / "Movies").mkdir()
    for i in range(N):
        path = root / f"Movies/{stem(i)}.tiff"
        path.touch()
        os.utime(path, (1.79e9 + 60 * i,) * 2)
    names = [f"Movies/{stem(i)}.tiff" for i in range(N)]
    write_star(root / "Import/job001/movies.star", optics(movies=pd.DataFrame({"rlnMicrographMovieName": names, "rlnOpticsGroup": 1})))
    aside = pd.DataFrame({"rlnMicrographMovieName": ["Movies/<b>bad.tiff"], "r4pReason": ["Movies/<b>bad.tiff: truncated file"]})
    write_star(root / "Import/job001/set_aside.star", {"set_aside": aside})


def _motion(root: Path) -> None:
    folder, rng = root / "MotionCorr/job002/Movies", np.random.default_rng(0)
    folder.mkdir()
    for i in range(N):
        write_stack(folder / f"{stem(i)}.mrc", rng.normal(size=(1, EDGE, EDGE)).astype(np.float32), SIZE)
        write_motion(folder / f"{stem(i)}.star", MotionRecord(f"Movies/{stem(i)}.tiff", (EDGE, EDGE), SIZE, 300.0, -DRIFT))
    table = pd.DataFrame({"rlnMicrographName": micrographs(), "rlnOpticsGroup": 1,
                          "rlnMicrographMetadata": [f"MotionCorr/job002/Movies/{stem(i)}.star" for i in range(N)],
                          "rlnAccumMotionTotal": 10.0 + np.arange(N), "rlnAccumMotionEarly": 3.0,
                          "rlnAccumMotionLate": 7.0 + np.arange(N)})  # fmt: skip
    write_star(root / "MotionCorr/job002/corrected_micrographs.star", optics(micrographs=table))


def micrographs() -> list[str]:
    return [f"MotionCorr/job002/Movies/{stem(i)}.mrc" for i in range(N)]


def ctf_table() -> pd.DataFrame:
    defocus = 10000.0 + 1000.0 * np.arange(N)
    images = [f"CtfFind/job003/Movies/{stem(i)}_PS.ctf:mrc" for i in range(N)]
    return pd.DataFrame({"rlnMicrographName": micrographs(), "rlnOpticsGroup": 1, "rlnCtfImage": images,
                         "rlnDefocusU": defocus + 100 + DEFOCUS_ERROR, "rlnDefocusV": defocus - 100 + DEFOCUS_ERROR,
                         "rlnCtfAstigmatism": 200.0, "rlnDefocusAngle": 178.0, "rlnCtfFigureOfMerit": 0.2,
                         "rlnCtfMaxResolution": 4.0 + 0.1 * np.arange(N)})  # fmt: skip


def _ctf(root: Path) -> None:
    (root / "CtfFind/job003/Movies").mkdir()
    for i in range(N):
        picture = np.random.default_rng(i).uniform(size=(1, 64, 64)).astype(np.float32)
        write_stack(root / f"CtfFind/job003/Movies/{stem(i)}_PS.ctf", picture, 1.0)
    write_star(root / "CtfFind/job003/micrographs_ctf.star", optics(micrographs=ctf_table()))


def _select(root: Path) -> None:
    write_star(root / "Select/job004/micrographs.star", optics(micrographs=ctf_table().iloc[:4]))


def _picks(root: Path) -> None:
    folder = root / "AutoPick/job005"
    files = [f"AutoPick/job005/Movies/{stem(i)}_autopick.star" for i in range(4)]
    for i, file in enumerate(files):
        centres = np.concatenate([PLACES[: 2 + i % 2] + 0.5, WRONG])
        write_picks(root / file, make_picks(*centres.T, 5.0 - np.arange(len(centres))))
    write_coordinate_list(folder / "autopick.star", micrographs()[:4], files)
    counts = [3 + i % 2 for i in range(4)]
    summary = {"rlnMicrographName": micrographs()[:4], "rlnAutopickFigureOfMerit": [4.0] * 4, "rlnGroupNrParticles": counts}
    write_star(folder / "summary.star", {"": pd.DataFrame(summary)})


def particles() -> pd.DataFrame:
    """One row per pick of `_picks`."""
    rows = [(i, k, x, y) for i in range(4) for k, (x, y) in enumerate(np.concatenate([PLACES[: 2 + i % 2], WRONG]))]
    return pd.DataFrame({"rlnCoordinateX": [x for *_, x, _ in rows], "rlnCoordinateY": [y for *_, y in rows],
                         "rlnAutopickFigureOfMerit": [5.0 - k for _, k, *_ in rows],
                         "rlnImageName": [f"{k + 1:06d}@Extract/job006/Movies/{stem(i)}.mrcs" for i, k, *_ in rows],
                         "rlnMicrographName": [micrographs()[i] for i, *_ in rows], "rlnOpticsGroup": 1})  # fmt: skip


def _particles(root: Path) -> None:
    (root / "Extract/job006/Movies").mkdir()
    for i in range(4):
        images = np.random.default_rng(i).normal(size=(4, 16, 16)).astype(np.float32)
        write_stack(root / f"Extract/job006/Movies/{stem(i)}.mrcs", images, SIZE)
    write_star(root / "Extract/job006/particles.star", optics(particles=particles()))


def _classes(root: Path) -> None:
    make_run(root / "Class2D/job007")


def _ranked(root: Path) -> None:
    folder = root / "Select/job008"
    scores = pd.DataFrame({"rlnReferenceImage": [f"{k}@a.mrcs" for k in (1, 2, 3)], "rlnClassScore": [0.05, -999.0, 0.8]})
    write_star(folder / "rank_model.star", {"model_classes": scores})
    write_star(folder / "backup_selection.star", {"": pd.DataFrame({"rlnSelected": [0, 0, 1]})})
    kept = particles()
    write_star(folder / "particles.star", optics(particles=kept[kept["rlnCoordinateX"] != WRONG[0, 0]]))


def _initial(root: Path) -> None:
    make_class3d(root / "InitialModel/job009", n_classes=1)
    add_verdict(root / "InitialModel/job009")


def _refined(root: Path) -> None:
    make_refine3d(root / "Refine3D/job010", noise=0.0)


def _truth(root: Path) -> None:
    """Truth of the movies: the drift that was found, defocus without its error, and three particles in each."""
    (root / "Truth").mkdir()
    names, defocus = [f"Movies/{stem(i)}.tiff" for i in range(N)], 10000.0 + 1000.0 * np.arange(N)
    movies = pd.DataFrame({"rlnMicrographMovieName": names, "rlnMicrographOriginalPixelSize": SIZE, "rlnDefocusU": defocus + 100,
                           "rlnDefocusV": defocus - 100, "rlnDefocusAngle": -1.0})  # fmt: skip
    items = [pd.DataFrame({"rlnMicrographMovieName": name, "rlnCoordinateX": PLACES[:, 0], "rlnCoordinateY": PLACES[:, 1],
                           "rlnSimulatedKind": "particle", "rlnSimulatedIsParticle": 1}) for name in names]  # fmt: skip
    write_star(root / "truth.star", {"movies": movies, "particles": pd.concat(items, ignore_index=True)})
    write_volume(root / "Truth/map001.mrc", toy_map(), PIXEL)
    frames = np.arange(1, FRAMES + 1)
    for i, table in enumerate(items):
        whole = pd.DataFrame({"rlnMicrographFrameNumber": frames, "rlnSimulatedMotionX": DRIFT[:, 0], "rlnSimulatedMotionY": DRIFT[:, 1]})
        local = pd.DataFrame({"rlnSimulatedItem": np.tile(np.arange(1, 4), FRAMES), "rlnMicrographFrameNumber": np.repeat(frames, 3),
                              "rlnSimulatedMotionX": 0.0, "rlnSimulatedMotionY": 0.0})  # fmt: skip
        write_star(root / f"Truth/{stem(i)}.star", {"whole_motion": whole, "particles": table, "local_motion": local})
