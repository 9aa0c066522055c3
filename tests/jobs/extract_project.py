"""A small project with micrographs and picks, and RELION's extraction of it."""

import shutil
import subprocess
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd

from relion4plugin.files.coordinates import write_coordinate_list
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star, write_star

NY, NX, PIXEL = 180, 200, 1.5
NAMES = ("m1", "m2", "m3")
MICROGRAPHS, COORDINATES, POINTER = "mics.star", "AutoPick/job005/autopick.star", "AutoPick/job005/coords_suffix_autopick.star"


def optics(pixel_size: float = PIXEL) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "rlnOpticsGroupName": ["og1"], "rlnOpticsGroup": [1], "rlnMicrographOriginalPixelSize": [pixel_size], "rlnVoltage": [300.0],
            "rlnSphericalAberration": [2.7], "rlnAmplitudeContrast": [0.1], "rlnMicrographPixelSize": [pixel_size],
        }
    )


def micrograph(number: int) -> str:
    return f"MotionCorr/job002/Movies/{NAMES[number]}.mrc"


def write_micrographs(numbers=(0, 1, 2), columns: dict[str, list[float]] | None = None) -> None:
    names = [micrograph(i) for i in numbers]
    ctf = {"rlnDefocusU": 1e4, "rlnDefocusV": 9500.0, "rlnDefocusAngle": -12.5, "rlnCtfFigureOfMerit": 0.2, "rlnCtfMaxResolution": 4.5}
    table = pd.DataFrame({"rlnMicrographName": pd.Series(names, dtype=object), "rlnOpticsGroup": 1})
    write_star(MICROGRAPHS, {"optics": optics(), "micrographs": table.assign(**(ctf if columns is None else columns))})


def make_project(seed: int = 3, last: type = np.float16) -> None:
    """Write micrographs (float32, int16 and another type) with a gradient of grey values, and picks, some of them near edges."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:NY, :NX]
    Path("MotionCorr/job002/Movies").mkdir(parents=True)
    picks = Path("AutoPick/job005/Movies")
    picks.mkdir(parents=True)
    for i, (name, dtype) in enumerate(zip(NAMES, (np.float32, np.int16, last), strict=True)):
        image = rng.normal(900, 40, (NY, NX)) + 0.5 * xx - 0.3 * yy
        with mrcfile.new(micrograph(i)) as file:
            file.set_data(image.astype(dtype))
        x, y = rng.uniform(-6, NX + 5, 25), rng.uniform(-6, NY + 5, 25)
        table = pd.DataFrame({"rlnCoordinateX": x, "rlnCoordinateY": y, "rlnAutopickFigureOfMerit": rng.normal(0, 1, 25)})
        write_star(picks / f"{name}_autopick.star", {"": table.assign(rlnClassNumber=0, rlnAnglePsi=0.0)})
    write_coordinate_list(COORDINATES, [micrograph(i) for i in range(3)], [f"{picks}/{name}_autopick.star" for name in NAMES])
    Path(POINTER).write_text(f"{MICROGRAPHS}\n")
    write_micrographs()


def write_refined(source: str, path: str, seed: int = 5) -> None:
    """Write particles in another order with the poses of a refinement."""
    rng = np.random.default_rng(seed)
    blocks = read_star(source)
    table = blocks["particles"]
    n = len(table)
    poses = {"rlnAngleRot": rng.uniform(-180, 180, n), "rlnAngleTilt": rng.uniform(0, 180, n), "rlnAnglePsi": rng.uniform(-180, 180, n)}
    offsets = {f"rlnOrigin{axis}Angst": rng.uniform(-9, 9, n) for axis in "XY"}
    table = table.assign(**poses, **offsets, rlnDefocusU=table["rlnDefocusU"] + rng.uniform(-50, 50, n)).iloc[rng.permutation(n)]
    write_star(path, {**blocks, "particles": table})


def relion(out: str, *words: str) -> None:
    program = shutil.which("relion_preprocess")
    assert program is not None
    command = [program, "--i", MICROGRAPHS, "--extract", "--part_dir", f"{out}/", "--part_star", f"{out}/particles.star", *words]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def compare(out: str, theirs: str, tolerance: float = 1e-4) -> int:
    """Check that two extractions agree: tables, names of files, and pixels relative to their deviation; return the number of particles."""
    ours, wanted = read_star(f"{out}/particles.star"), read_star(f"{theirs}/particles.star")
    assert ours["optics"]["rlnCtfDataAreCtfPremultiplied"].tolist() == [0] * len(ours["optics"])
    for name in ("optics", "particles"):
        assert [c for c in ours[name].columns if c in wanted[name].columns] == list(wanted[name].columns)
        for label in wanted[name].columns:
            mine, other = ours[name][label], wanted[name][label]
            if other.dtype.kind == "O":
                assert mine.str.replace(f"{out}/", "").tolist() == other.str.replace(f"{theirs}/", "").tolist(), label
            else:
                np.testing.assert_allclose(mine, other, rtol=1e-5, atol=2e-5, err_msg=label)
    stacks = sorted({name.split("@")[1] for name in ours["particles"]["rlnImageName"]})
    assert stacks
    for stack in stacks:
        pixels, size = read_mrc(stack)
        other, their_size = read_mrc(stack.replace(out, theirs, 1))
        assert pixels.shape == other.shape and abs(size - their_size) < 1e-4
        assert np.abs(pixels - other).max() <= tolerance * other.std()
        assert len(read_star(stack[: -len(".mrcs")] + "_extract.star")["images"]) == len(pixels)
    return len(ours["particles"])
