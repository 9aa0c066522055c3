"""A project in the middle of its work: schemes prep and proc of RELION's shape, job directories, event logs, class averages."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import write_star
from relion4plugin.jobs.job_star import JobStar, write_job_star
from relion4plugin.schemes.model import CONTINUE, NEW, Edge, Operator, Scheme, SchemeJob, Variable
from relion4plugin.schemes.pipeline import Pipeline, Process, Status
from relion4plugin.schemes.pipeline_star import write_pipeline
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import scheme_text

START = 1_790_000_000.0


def edges(*rows: str) -> tuple[Edge, ...]:
    """Read edges: ``a > b`` or ``a > b ? flag > c`` (c where the flag is true)."""
    found = []
    for row in rows:
        plain, _, fork = row.partition(" ? ")
        source, target = plain.split(" > ")
        flag, _, true = fork.partition(" > ")
        found.append(Edge(source, target, True, true, flag) if fork else Edge(source, target))
    return tuple(found)


def prep() -> Scheme:
    return Scheme(
        "Schemes/prep/",
        "WAIT",
        floats={name: Variable(value, value) for name, value in (("do_at_most", 50.0), ("maxtime_hr", 48.0), ("wait_sec", 180.0))},
        operators={
            "WAIT": Operator("WAIT", "wait", input1="wait_sec"),
            "EXIT_maxtime": Operator("EXIT_maxtime", "exit_maxtime", input1="maxtime_hr"),
        },
        jobs={
            name: SchemeJob(name, folder, CONTINUE, True)
            for name, folder in (("importmovies", "Import/job001/"), ("motioncorr", "MotionCorr/job002/"), ("ctffind", "CtfFind/job003/"))
        },
        edges=edges(
            "WAIT > EXIT_maxtime", "EXIT_maxtime > importmovies", "importmovies > motioncorr", "motioncorr > ctffind", "ctffind > WAIT"
        ),
    )


def proc() -> Scheme:
    operators = (
        ("WAIT", "wait", "undefined", "wait_sec"),
        ("EXIT_maxtime", "exit_maxtime", "undefined", "maxtime_hr"),
        ("HAS_ctffind", "bool=file_exists", "has_ctffind", "ctffind_mics"),
        ("COUNT_mics", "float=count_images", "current_nr_mics", "selected_mics", "micrographs"),
        ("HAS_mics_increased", "bool=gt", "has_larger_nr_mics", "current_nr_mics", "prev_nr_mics"),
        ("SET_prev_nr_mics", "float=set", "prev_nr_mics", "current_nr_mics"),
        ("SET_do_topaz", "bool=not", "do_topaz", "do_log"),
        ("COUNT_parts", "float=count_images", "current_nr_parts", "selected_parts", "particles"),
        ("CHECK_do_3d", "bool=ge", "do_3d", "current_nr_parts", "min_nr_parts_3d"),
        ("CHECK_iniref", "bool=file_exists", "has_iniref", "iniref"),
        ("SET_myref_user", "string=set", "myref", "iniref"),
        ("SET_myref_inimodel", "string=set", "myref", "inimodel_output"),
        ("HAS_topaz_model", "bool=file_exists", "has_topaz_model", "topaz_model"),
    )
    floats = {"current_nr_mics": 0, "prev_nr_mics": 0, "maxtime_hr": 48, "wait_sec": 180, "current_nr_parts": 0, "min_nr_parts_3d": 5000}
    bools = {
        "do_log": True,
        **dict.fromkeys(("has_ctffind", "do_3d", "has_larger_nr_mics", "do_topaz", "has_topaz_model", "has_iniref"), False),
    }
    strings = {
        "ctffind_mics": "Schemes/prep/ctffind/micrographs_ctf.star",
        "selected_mics": "Schemes/proc/select_mics/micrographs.star",
        "selected_parts": "Schemes/proc/select_parts/particles.star",
        "particles": "particles",
        "micrographs": "micrographs",
        "topaz_model": "",
        "iniref": "None",
        "myref": "undefined",
        "inimodel_output": "Schemes/proc/inimodel3d/initial_model.mrc",
    }
    jobs = (
        ("select_mics", "Select/job004/", CONTINUE),
        ("autopick", "AutoPick/job005/", CONTINUE),
        ("extract", "Extract/job006/", CONTINUE),
        ("class2d", "Class2D/job011/", NEW),
        ("select_parts", "Select/job008/", NEW),
        ("inimodel3d", "InitialModel/job009/", NEW),
        ("refine3d", "Refine3D/job010/", NEW),
    )
    return Scheme(
        "Schemes/proc/",
        "class2d",
        floats={name: Variable(float(value), float(value)) for name, value in floats.items()},
        bools={name: Variable(value, value) for name, value in bools.items()},
        strings={name: Variable(value, value) for name, value in strings.items()},
        operators={row[0]: Operator(*row) for row in operators},
        jobs={name: SchemeJob(name, folder, mode, True) for name, folder, mode in jobs},
        edges=edges(
            "WAIT > EXIT_maxtime",
            "EXIT_maxtime > HAS_ctffind",
            "HAS_ctffind > WAIT ? has_ctffind > select_mics",
            "select_mics > COUNT_mics",
            "COUNT_mics > HAS_mics_increased",
            "HAS_mics_increased > WAIT ? has_larger_nr_mics > SET_prev_nr_mics",
            "SET_prev_nr_mics > SET_do_topaz",
            "SET_do_topaz > autopick",
            "autopick > extract",
            "extract > class2d",
            "class2d > select_parts",
            "select_parts > COUNT_parts",
            "COUNT_parts > CHECK_do_3d",
            "CHECK_do_3d > WAIT ? do_3d > CHECK_iniref",
            "CHECK_iniref > inimodel3d ? has_iniref > SET_myref_user",
            "inimodel3d > SET_myref_inimodel",
            "SET_myref_inimodel > refine3d",
            "SET_myref_user > refine3d",
            "refine3d > WAIT",
        ),
    )


# name, type, status, inputs, outputs (file, kind)
JOBS = (
    ("Import/job001/", "relion.import.movies", Status.SUCCEEDED, (), (("movies.star", "MicrographMoviesData.star.relion"),)),
    (
        "MotionCorr/job002/",
        "relion.motioncorr.own",
        Status.SUCCEEDED,
        ("Import/job001/movies.star",),
        (("corrected_micrographs.star", "MicrographsData.star.relion.motioncorr"),),
    ),
    (
        "CtfFind/job003/",
        "relion.ctffind.ctffind4",
        Status.SUCCEEDED,
        ("MotionCorr/job002/corrected_micrographs.star",),
        (("micrographs_ctf.star", "MicrographsData.star.relion.ctf"),),
    ),
    (
        "Select/job004/",
        "relion.select.onvalue",
        Status.SUCCEEDED,
        ("CtfFind/job003/micrographs_ctf.star",),
        (("micrographs.star", "MicrographsData.star.relion"),),
    ),
    (
        "AutoPick/job005/",
        "relion.autopick.log",
        Status.SUCCEEDED,
        ("Select/job004/micrographs.star",),
        (("autopick.star", "MicrographsCoords.star.relion.autopick"),),
    ),
    (
        "Extract/job006/",
        "relion.extract",
        Status.SUCCEEDED,
        ("AutoPick/job005/autopick.star",),
        (("particles.star", "ParticlesData.star.relion"),),
    ),
    (
        "Class2D/job007/",
        "relion.class2d",
        Status.SUCCEEDED,
        ("Extract/job006/particles.star",),
        (("run_it200_optimiser.star", "ProcessData.star.relion.optimiser.class2d"),),
    ),
    (
        "Select/job008/",
        "relion.select.class2dauto",
        Status.SUCCEEDED,
        ("Class2D/job007/run_it200_optimiser.star",),
        (("particles.star", "ParticlesData.star.relion"), ("class_averages.star", "ImagesData.star.relion.classaverages")),
    ),
    (
        "InitialModel/job009/",
        "relion.initialmodel",
        Status.SUCCEEDED,
        ("Select/job008/particles.star",),
        (("initial_model.mrc", "DensityMap.mrc"),),
    ),
    ("Refine3D/job010/", "relion.refine3d", Status.FAILED, ("Select/job008/particles.star", "InitialModel/job009/initial_model.mrc"), ()),
    ("Class2D/job011/", "relion.class2d", Status.RUNNING, ("Extract/job006/particles.star",), ()),
)


def class_images(n: int = 24, size: int = 64) -> np.ndarray:
    """Draw rings and rods that look like class averages from afar."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    images = []
    for k in range(n):
        angle = k * np.pi / 7
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        shape = np.exp(-(((np.hypot(u, v * (1 + k % 3 * 0.5)) - 13) / 4) ** 2)) + 0.7 * np.exp(-((u / 4) ** 2 + (v / 9) ** 2))
        images.append(shape * (x**2 + y**2 < 28**2) * (1 - 0.03 * k) + rng.normal(0, 0.02 + 0.012 * k, (size, size)))
    return np.asarray(images, np.float32)


def write_classes(root: Path, job: str, iteration: int, scores: bool) -> None:
    images = class_images()
    n = len(images)
    write_stack(root / job / f"run_it{iteration:03d}_classes.mrcs", images, 3.5)
    names = [f"{k + 1:06d}@{job}run_it{iteration:03d}_classes.mrcs" for k in range(n)]
    share = np.linspace(2.0, 0.1, n)
    table = pd.DataFrame(
        {"rlnReferenceImage": names, "rlnClassDistribution": share / share.sum(), "rlnEstimatedResolution": np.linspace(8.1, 29.0, n)}
    )
    general = {"rlnReferenceDimensionality": 2, "rlnPixelSize": 3.5, "rlnCurrentResolution": 8.1, "rlnNrClasses": n}
    write_star(root / job / f"run_it{iteration:03d}_model.star", {"model_general": general, "model_classes": table})
    if scores:
        ranked = pd.DataFrame({"rlnReferenceImage": names, "rlnClassScore": np.linspace(0.92, 0.02, n)})
        write_star(root / "Select/job008/rank_model.star", {"model_classes": ranked})
        write_star(root / "Select/job008/backup_selection.star", {"": pd.DataFrame({"rlnSelected": (np.arange(n) < 9).astype(int)})})


def optics(table: str, n: int) -> dict:
    """Return the tables of a STAR file of n images."""
    head = pd.DataFrame({"rlnOpticsGroup": [1], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7], "rlnMicrographPixelSize": [0.885]})
    column = "rlnImageName" if table == "particles" else "rlnMicrographName"
    return {"optics": head, table: pd.DataFrame({column: [f"MotionCorr/mic{i:05d}.mrc" for i in range(n)], "rlnOpticsGroup": 1})}


def write_events(path: Path, events: list[tuple[float, str, dict]]) -> None:
    path.write_text("".join(json.dumps({"time": START + t, "event": kind, **rest}) + "\n" for t, kind, rest in events))


def proc_events() -> list[tuple[float, str, dict]]:
    events: list[tuple[float, str, dict]] = [
        (0, "run", {"pid": 4242, "host": "gpu1", "executor": "native", "strict": False, "node": "WAIT"})
    ]
    t = 0.0
    for turn in range(6):
        for node in ("WAIT", "EXIT_maxtime", "HAS_ctffind", "select_mics", "COUNT_mics", "HAS_mics_increased"):
            t += 120
            events.append((t, "node", {"node": node, "kind": "job" if node == "select_mics" else "operator"}))
            if node == "COUNT_mics":
                rest = {"node": node, "type": "float=count_images", "output": "current_nr_mics", "value": 35.0 * (turn + 1)}
                events.append((t + 1, "operator", rest))
        target = "SET_prev_nr_mics" if turn % 2 else "WAIT"
        events.append(
            (t + 2, "fork", {"node": "HAS_mics_increased", "variable": "has_larger_nr_mics", "value": bool(turn % 2), "next": target})
        )
        if turn % 2 == 0:
            continue
        for node, job in (
            ("SET_prev_nr_mics", ""),
            ("SET_do_topaz", ""),
            ("autopick", "AutoPick/job005/"),
            ("extract", "Extract/job006/"),
            ("class2d", "Class2D/job007/"),
            ("select_parts", "Select/job008/"),
        ):
            t += 300
            events.append((t, "node", {"node": node, "kind": "job" if job else "operator"}))
            if job:
                events.append((t, "started", {"node": node, "job": job, "launch": turn}))
                if turn == 5 and node == "class2d":
                    events[-1][2]["job"] = "Class2D/job011/"
                    return events
                events.append(
                    (t + 280, "ended", {"node": node, "job": job, "launch": turn, "status": "Succeeded", "seconds": 280.0, "message": ""})
                )
        events.append(
            (
                t + 290,
                "operator",
                {"node": "COUNT_parts", "type": "float=count_images", "output": "current_nr_parts", "value": 2400.0 * turn},
            )
        )
    return events


def make_project(root: Path, lock: str = "") -> Project:
    """Write the project; `lock` is the text in the lock of proc, for example that of a running process."""
    project = Project(root)
    pipeline = Pipeline()
    (root / ".gui_projectdir").touch()
    for moment, (name, kind, status, inputs, outputs) in enumerate(JOBS):
        folder = root / name
        folder.mkdir(parents=True)
        options = (
            {"nr_classes": "100", "fn_img": "Extract/job006/particles.star", "do_grad": "Yes"} if "Class2D" in name else {"other_args": ""}
        )
        write_job_star(folder / "job.star", JobStar(kind, False, False, options))
        (folder / "run.out").write_text("".join(f"step {i} of {name}\n" for i in range(40)))
        (folder / "run.err").write_text("error: no particles left after masking\n" if status is Status.FAILED else "")
        (folder / "note.txt").write_text("\n ++++ Executing new job\n")
        pipeline = pipeline.with_process(Process(name, kind, status)).with_inputs(
            name, {one: pipeline.nodes[one].type_label for one in inputs}
        )
        pipeline = pipeline.with_outputs(name, {name + file: label for file, label in outputs})
        if status in (Status.SUCCEEDED, Status.FAILED):
            (folder / f"RELION_JOB_EXIT_{'SUCCESS' if status is Status.SUCCEEDED else 'FAILURE'}").touch()
        when = START + 900 * moment
        for path in folder.iterdir():
            os.utime(path, (when, when))
    write_pipeline(project.pipeline_path, replace(pipeline, counter=12))
    write_star(root / "Import/job001/movies.star", optics("movies", 250))
    write_star(root / "MotionCorr/job002/corrected_micrographs.star", optics("micrographs", 230))
    write_star(root / "CtfFind/job003/micrographs_ctf.star", optics("micrographs", 225))
    write_star(root / "Select/job004/micrographs.star", optics("micrographs", 210))
    write_star(root / "Extract/job006/particles.star", optics("particles", 31250))
    write_star(root / "Select/job008/particles.star", optics("particles", 12000))
    write_star(root / "Select/job008/class_averages.star", {"": pd.DataFrame({"rlnReferenceImage": [f"{k}@a.mrcs" for k in range(9)]})})
    write_classes(root, "Class2D/job007/", 200, True)
    write_classes(root, "Class2D/job011/", 40, False)
    for scheme in (prep(), proc()):
        folder = project.scheme_directory(scheme.name)
        folder.mkdir(parents=True)
        (folder / "scheme.star").write_text(scheme_text(scheme))
        for job in scheme.jobs:
            (folder / job).mkdir()
            write_job_star(folder / job / "job.star", JobStar("relion.class2d", False, False, {"nr_classes": "100", "do_grad": "Yes"}))
    write_events(root / "Schemes/proc/events.jsonl", proc_events())
    (root / "Schemes/proc/run.out").write_text(" + next node: class2d\n")
    if lock:
        project.scheme_lock("proc").mkdir()
        (project.scheme_lock("proc") / "lock_scheme").write_text(lock)
    return project
