"""Small schemes and project files for tests of the protocol that runs schemes."""

from pathlib import Path

import numpy as np

from .workplace import toy_images

PASSES = 2


def write_data(folder: Path, n: int = 60, box: int = 32) -> None:
    """Write a particles.star with made-up images, which it names relative to the folder, and scores to select by."""
    import pandas as pd

    from relion4plugin.files.mrc import write_stack
    from relion4plugin.files.star import write_star

    folder.mkdir()
    images, _ = toy_images(n, box)
    (folder / "Toys").mkdir()
    write_stack(folder / "Toys" / "toys.mrcs", images, 4.0)
    optics = pd.DataFrame(
        {
            "rlnOpticsGroup": [1],
            "rlnOpticsGroupName": ["opticsGroup1"],
            "rlnVoltage": [300.0],
            "rlnSphericalAberration": [2.7],
            "rlnAmplitudeContrast": [0.1],
            "rlnImagePixelSize": [4.0],
            "rlnImageSize": [box],
            "rlnImageDimensionality": [2],
        }
    )
    particles = pd.DataFrame(
        {
            "rlnImageName": [f"{row + 1:06d}@Toys/toys.mrcs" for row in range(n)],
            "rlnOpticsGroup": np.ones(n, int),
            "rlnAutopickFigureOfMerit": np.arange(n, dtype=float),
        }
    )
    write_star(folder / "particles.star", {"optics": optics, "particles": particles})


def write_tiny_scheme(folder: Path, wait: float = 0.0, iterations: int = 1, particles: str = "particles.star") -> Path:
    """Write a scheme that selects the first 40 particles, classifies them, and does so until it has done `PASSES` classifications."""
    from relion4plugin.schemes.library.template import Draft, write_template
    from relion4plugin.schemes.model import NEW

    draft = Draft("tiny", floats={"wait_sec": wait, "done": 0, "one": 1, "passes": PASSES}, bools={"enough": False})
    draft.job(
        "choose",
        "relion.select",
        {"fn_data": particles, "do_select_values": "Yes", "select_label": "rlnAutopickFigureOfMerit", "select_maxval": "39"},
    )
    draft.job(
        "class2d",
        "relion.class2d",
        {
            "fn_img": draft.file("choose", "particles.star"),
            "do_em": "Yes",
            "do_grad": "No",
            "nr_classes": "2",
            "nr_iter_em": str(iterations),
            "particle_diameter": "110",
            "do_ctf_correction": "No",
            "psi_sampling": "12",
            "offset_range": "2",
            "nr_threads": "1",
        },
        NEW,
    )
    draft.operator("WAIT", "wait", input1="wait_sec")
    draft.operator("COUNT", "float=plus", "done", "done", "one")
    draft.operator("CHECK", "bool=ge", "enough", "done", "passes")
    draft.operator("EXIT", "exit")
    draft.path("WAIT", "choose", "class2d", "COUNT", "CHECK")
    draft.fork("CHECK", "enough", if_true="EXIT", if_false="WAIT")
    write_template(draft.template(), folder)
    return folder


def rows_of(star: Path, count: int) -> str:
    """Return the text of a STAR file with only the first rows of its last table."""
    lines = star.read_text().rstrip().splitlines()
    first = max(i for i, line in enumerate(lines) if line.startswith("_rln")) + 1
    return "\n".join(lines[: first + count]) + "\n"
