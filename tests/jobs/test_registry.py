from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.jobs.registry import ContinueKind, job_type, job_types
from relion4plugin.schemes.labels import JOB_FOLDERS, relion4_label, relion5_label
from tests.jobs.job_options import LONG_JOBS

PLACE = Path("Folder/job007")
# Job templates of the shared data from which no command can be made, and why.
NO_COMMAND = {
    "relion31_tutorial_bgal/InitialModel/job015": "nr_mpi is 5",  # stochastic gradient descent of RELION 3.1
    "relion31_tutorial_bgal/Select/job005": "fn_model, fn_mic and fn_data are empty",  # coordinates, which RELION 4 does not select
    "schemes_cnio_relion4/proc/autopick": "exactly one of do_log, do_topaz, do_refs",  # $$ variables decide
}


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("relion.class2d", "relion.class2d"),
        ("relion.select.class2dauto", "relion.select"),
        ("relion.autopick.topaz.pick", "relion.autopick"),
        ("Class2D", "relion.class2d"),
        ("InitialModel", "relion.initialmodel"),
    ],
)
def test_a_type_is_found_by_label_suffixed_label_and_folder(label, expected):
    assert job_type(label).label == expected


@pytest.mark.parametrize("label", ["", "relion", "relion.nothing", "relion.class2dx", "class2d", "Nothing"])
def test_an_unknown_type_is_a_clear_mistake(label):
    with pytest.raises(UserError, match=f"no job type '{label}'; known: relion.autopick, "):
        job_type(label)


def test_labels_and_folders_are_those_of_pipelines():
    for label, kind in job_types().items():
        assert kind.label == label and JOB_FOLDERS[label] == kind.folder
    tomography = {label for label in JOB_FOLDERS if label not in job_types()}
    assert not any(name in label for label in tomography for name in ("class", "refine3d", "import.", "select"))


@pytest.mark.parametrize("name", LONG_JOBS)
def test_every_type_says_its_files_and_runs_here_or_says_what_is_missing(name):
    label, options, is_continue = LONG_JOBS[name]
    kind = job_type(label)
    assert set(options) <= kind.option_names()
    assert kind.full_label(options).startswith(label)
    assert job_type(kind.full_label(options)) is kind
    assert kind.runner(options) is not None or kind.missing
    files = kind.nodes_out(options, PLACE, is_continue)
    assert all(path.startswith("Folder/job007/") for path in files)
    for node in (*kind.nodes_in(options).values(), *files.values()):
        assert relion4_label(relion5_label(node)) == node
        assert node.split(".", 1)[0] in (
            "MicrographMoviesData", "MicrographsData", "MicrographsCoords", "ParticlesData", "ImagesData", "ProcessData", "DensityMap",
            "Mask3D", "LogFile", "Image3D",
        )  # fmt: skip


def test_long_jobs_cover_every_type_but_those_with_words_of_their_own():
    covered = {label for label, _, _ in LONG_JOBS.values()}
    assert set(job_types()) - covered == {"relion.manualpick", "relion.external"}


def test_outputs_are_those_of_relion():
    assert job_type("relion.motioncorr").nodes_out({}, Path("MotionCorr/job002"), False) == {
        "MotionCorr/job002/corrected_micrographs.star": "MicrographsData.star.relion.motioncorr",
        "MotionCorr/job002/logfile.pdf": "LogFile.pdf.relion.motioncorr",
    }
    em = {"fn_img": "p.star", "do_em": "Yes", "do_grad": "No", "nr_iter_em": "25"}
    assert job_type("relion.class2d").nodes_out(em, Path("Class2D/job008"), False) == {
        "Class2D/job008/run_it025_data.star": "ParticlesData.star.relion.class2d",
        "Class2D/job008/run_it025_optimiser.star": "ProcessData.star.relion.optimiser.class2d",
    }
    assert job_type("relion.refine3d").nodes_out({}, Path("Refine3D/job019"), False) == {
        "Refine3D/job019/run_data.star": "ParticlesData.star.relion.refine3d",
        "Refine3D/job019/run_optimiser.star": "ProcessData.star.relion.optimiser.refine3d",
        "Refine3D/job019/run_half1_class001_unfil.mrc": "DensityMap.mrc.relion.halfmap.refine3d",
        "Refine3D/job019/run_class001.mrc": "DensityMap.mrc.relion.refine3d",
    }
    ranker = {"do_class_ranker": "Yes", "fn_model": "Class2D/job008/run_it200_optimiser.star"}
    assert job_type("relion.select").nodes_out(ranker, Path("Select/job009"), False) == {
        "Select/job009/particles.star": "ParticlesData.star.relion",
        "Select/job009/class_averages.star": "ImagesData.star.relion.classaverages",
        "Select/job009/rank_optimiser.star": "ProcessData.star.relion.optimiser.autoselect",
    }
    assert job_type("relion.select").nodes_out({"fn_mic": "m.star", "do_split": "Yes"}, Path("Select/job009"), False) == {}
    several = job_type("relion.initialmodel").nodes_out({"nr_classes": "2", "nr_iter": "50"}, Path("I/job001"), False)
    assert list(several) == ["I/job001/initial_model.mrc", "I/job001/run_it050_class001.mrc", "I/job001/run_it050_class002.mrc"]


def test_inputs_are_those_that_are_used():
    picks = job_type("relion.autopick")
    topaz = {"fn_input_autopick": "m.star", "do_topaz": "Yes", "do_topaz_pick": "Yes", "topaz_model": "t.sav", "fn_refs_autopick": "r.star"}
    assert picks.nodes_in(topaz) == {"m.star": "MicrographsData.star.relion", "t.sav": "ProcessData.sav.topaz.model"}
    assert job_type("relion.refine3d").nodes_in({"fn_img": "p.star", "fn_ref": "None", "fn_mask": '""'}) == {
        "p.star": "ParticlesData.star.relion"
    }
    assert job_type("relion.external").nodes_in({"in_mic": "m.star", "in_mask": "k.mrc"}) == {
        "m.star": "MicrographsData.star.relion",
        "k.mrc": "Mask3D.mrc",
    }


def test_what_continuing_means():
    kinds = {name: job_type(f"relion.{name}").continues for name in ("import", "extract", "class2d", "refine3d", "select", "maskcreate")}
    assert kinds == {
        "import": ContinueKind.INCREMENTAL,
        "extract": ContinueKind.INCREMENTAL,
        "class2d": ContinueKind.RESUMABLE,
        "refine3d": ContinueKind.RESUMABLE,
        "select": ContinueKind.RESTART,
        "maskcreate": ContinueKind.RESTART,
    }


def test_defaults_are_relions_and_some_come_from_the_environment(monkeypatch):
    for name in ("RELION_QUEUE_NAME", "RELION_SCRATCH_DIR", "RELION_QSUB_NRMPI", "RELION_QSUB_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    defaults = job_type("relion.class2d").default_options()
    assert (defaults["nr_classes"], defaults["nr_iter_grad"], defaults["queuename"], defaults["nr_mpi"]) == ("1", "200", "openmpi", "1")
    assert "memory_limit" not in defaults  # an option of this program only
    assert job_type("relion.select").default_options()["rank_threshold"] == "0.5"
    monkeypatch.setenv("RELION_QUEUE_NAME", "long")
    monkeypatch.setenv("RELION_SCRATCH_DIR", "/ssd")
    assert job_type("relion.class2d").default_options()["queuename"] == "long"
    command = job_type("relion.class2d").relion_command({"fn_img": "p.star"}, PLACE, False)[0]
    assert command[command.index("--scratch_dir") + 1] == "/ssd"


@pytest.mark.parametrize(
    ("label", "options", "missing"),
    [
        ("relion.motioncorr", {"do_own_motioncor": "No"}, "relion_run_motioncorr"),
        ("relion.ctffind", {"use_gctf": "Yes"}, "relion_run_ctffind"),
        ("relion.autopick", {"do_refs": "Yes", "do_ref3d": "Yes"}, "by projections of a map"),
        ("relion.extract", {"do_extract_helix": "Yes"}, "relion_preprocess"),
        ("relion.class2d", {"do_helix": "Yes"}, "helical segments"),
        ("relion.refine3d", {"do_blush": "Yes"}, "Blush"),
        ("relion.select", {"fn_mic": "m.star"}, "selection by hand"),
        ("relion.localres", {"do_resmap_locres": "Yes"}, "ResMap"),
    ],
)
def test_what_only_relion_can_run_is_said(label, options, missing):
    assert job_type(label).runner(options) is None
    assert missing in job_type(label).missing


@pytest.mark.parametrize(
    ("label", "options"),
    [
        ("relion.import", {}),
        ("relion.motioncorr", {}),
        ("relion.ctffind", {}),
        ("relion.autopick", {"do_log": "Yes"}),
        ("relion.autopick", {"do_topaz": "Yes", "do_topaz_pick": "Yes"}),
        ("relion.extract", {}),
        ("relion.class2d", {}),
        ("relion.class2d", {"do_stream": "Yes"}),
        ("relion.class3d", {}),
        ("relion.initialmodel", {}),
        ("relion.refine3d", {}),
        ("relion.maskcreate", {}),
        ("relion.postprocess", {}),
        ("relion.localres", {"do_relion_locres": "Yes", "do_resmap_locres": "No"}),
        ("relion.select", {"do_class_ranker": "Yes"}),
        ("relion.select", {"do_split": "Yes"}),
        ("relion.joinstar", {}),
        ("relion.external", {}),
    ],
)
def test_what_runs_here(label, options):
    assert job_type(label).runner(options) is not None


def test_every_real_job_star_resolves_and_gives_a_command(shared_data):
    found = sorted((shared_data / "star").rglob("*job.star"))
    assert len(found) > 50
    for path in found:
        job = read_job_star(path)
        kind = job_type(job.type_label)
        reason = next((text for place, text in NO_COMMAND.items() if place in path.as_posix()), None)
        if reason is not None:
            with pytest.raises(UserError, match=reason):
                kind.relion_command(job.options, PLACE, job.is_continue)
            continue
        commands = kind.relion_command(job.options, PLACE, job.is_continue)
        assert all(isinstance(word, str) for command in commands for word in command)
        assert kind.nodes_in(job.options) or kind.label == "relion.import"
        if job.type_label.count(".") > 1:  # RELION wrote the full label into the job directory
            assert kind.full_label(job.options) == job.type_label
