"""Names of job types and of kinds of files in pipelines: RELION 4, RELION 5 and the numbers of RELION 3.1."""

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import LEGACY_TYPES

# Base label of a job type and the folder of its jobs.
JOB_FOLDERS = {
    "relion.import": "Import",
    "relion.motioncorr": "MotionCorr",
    "relion.ctffind": "CtfFind",
    "relion.manualpick": "ManualPick",
    "relion.autopick": "AutoPick",
    "relion.extract": "Extract",
    "relion.select": "Select",
    "relion.class2d": "Class2D",
    "relion.class3d": "Class3D",
    "relion.refine3d": "Refine3D",
    "relion.initialmodel": "InitialModel",
    "relion.multibody": "MultiBody",
    "relion.maskcreate": "MaskCreate",
    "relion.joinstar": "JoinStar",
    "relion.subtract": "Subtract",
    "relion.postprocess": "PostProcess",
    "relion.localres": "LocalRes",
    "relion.polish": "Polish",
    "relion.ctfrefine": "CtfRefine",
    "relion.external": "External",
    "relion.importtomo": "ImportTomo",
    "relion.pseudosubtomo": "PseudoSubtomo",
    "relion.ctfrefinetomo": "CtfRefineTomo",
    "relion.framealigntomo": "FrameAlignTomo",
    "relion.reconstructparticletomo": "ReconstructParticleTomo",
    "relion.excludetilts": "ExcludeTiltImages",
    "relion.denoisetomo": "Denoise",
    "relion.picktomo": "Picks",
    "relion.aligntiltseries": "AlignTiltSeries",
    "relion.reconstructtomograms": "Tomograms",
    "dynamight": "DynaMight",
    "modelangelo": "ModelAngelo",
}
_LABELS_BY_FOLDER = {folder: label for label, folder in JOB_FOLDERS.items()}

# In order of search when a label is turned into a number: the special ones first.
NODE_NUMBERS = {
    0: "MicrographMoviesData.star.relion",
    1: "MicrographsData.star.relion",
    2: "MicrographsCoords.star.relion",
    3: "ParticlesData.star.relion",
    5: "ImagesData.star.relion",
    10: "DensityMap.mrc.relion.halfmap",
    11: "DensityMap.mrc.relion.postprocess",
    12: "DensityMap.mrc.relion.localresmap",
    6: "DensityMap.mrc",
    7: "Mask3D.mrc",
    8: "ProcessData.star.relion.model",
    14: "ProcessData.star.relion.postprocess",
    9: "ProcessData.star.relion.optimiser",
    13: "LogFile.pdf.relion",
    15: "ProcessData.txt.relion.polish",
}
# Stems of node labels: RELION 4 and RELION 5.
_STEMS = (
    ("MicrographMoviesData", "MicrographMovieGroupMetadata"),
    ("MicrographsData", "MicrographGroupMetadata"),
    ("MicrographsCoords", "MicrographCoordsGroup"),
    ("ParticlesData", "ParticleGroupMetadata"),
    ("ImagesData", "Image2DGroupMetadata"),
    ("ProcessData.star.relion.optimiser.autoselect", "OptimiserData.star.relion.select"),
    ("ProcessData.star.relion.optimiser", "OptimiserData.star.relion"),
    ("ProcessData.sav.topaz", "ParamsData.sav.topaz"),
)


def base_label(label: str) -> str:
    """Return the label of a job type without its suffix: ``relion.select`` of ``relion.select.class2dauto``.

    A folder name (``Class2D``) counts as a label too.

    Raises
    ------
    UserError
        If there is no such job type.
    """
    parts = label.split(".")
    for length in range(len(parts), 0, -1):
        base = ".".join(parts[:length])
        if base in JOB_FOLDERS:
            return base
    if label in _LABELS_BY_FOLDER:
        return _LABELS_BY_FOLDER[label]
    raise UserError(f"there is no job type '{label}'; known: {', '.join(sorted(JOB_FOLDERS))}")


def job_folder(label: str) -> str:
    """Return the folder of jobs of a type: ``Select`` of ``relion.select.class2dauto``.

    Raises
    ------
    UserError
        If there is no such job type.
    """
    return JOB_FOLDERS[base_label(label)]


def relion5_label(label: str) -> str:
    """Return a node label as RELION 5 writes it."""
    return _exchange(label, tuple((old, new) for old, new in _STEMS))


def relion4_label(label: str) -> str:
    """Return a node label as RELION 4 writes it."""
    return _exchange(label, tuple((new, old) for old, new in _STEMS))


def _exchange(label: str, stems: tuple[tuple[str, str], ...]) -> str:
    for old, new in stems:
        if label == old or label.startswith(old + "."):
            return new + label[len(old) :]
    return label


def process_number(label: str) -> int:
    """Return RELION 3.1's number of a job type.

    Raises
    ------
    UserError
        If it has none.
    """
    for number, name in LEGACY_TYPES.items():
        if label == name or label.startswith(name + "."):
            return number
    raise UserError(f"RELION 3.1, which wrote this pipeline, has no job type '{label}'; convert the pipeline to RELION 4 first")


def node_number(label: str) -> int:
    """Return RELION 3.1's number of a kind of files.

    Raises
    ------
    UserError
        If it has none.
    """
    plain = relion4_label(label)
    for number, name in NODE_NUMBERS.items():
        if plain == name or plain.startswith(name + "."):
            return number
    raise UserError(f"RELION 3.1, which wrote this pipeline, has no kind of files '{label}'; convert the pipeline to RELION 4 first")
