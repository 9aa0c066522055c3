"""Sessions of SerialEM that are small and complete: mdocs with TIFF movies, written as a microscope writes them."""

import os
import time
from pathlib import Path

import numpy as np

from relion4plugin.acquisition.launches import LEDGER

SIZE, FRAMES = 64, 4
MDOC = """T = SerialEM: Acquired on Titan Krios3 D3593                11-Aug-19  14:13:22
Voltage = 300

[FrameSet = 0]
TiltAngle = 0.0005
Magnification = 81000
ExposureDose = 6
DoseRate = 12
PixelSpacing = {pixel}
ImageShift = {shift} 0
ExposureTime = 1.00
Binning = 1
CountsPerElectron = 1
TargetDefocus = -1.5
SubFramePath = X:\\Data\\{name}
NumSubFrames = {frames}
DateTime = 11-Aug-19  14:{minute:02d}:{second:02d}
"""

PRESET = """version = 1
name = "{name}"
[microscope]
Cs = 2.7
[gain]
rule = "none"
[processing]
particle_diameter = 30.0
picker = "log"
threads = 2
[watch]
min_movies = {min_movies}
settle = {settle}
"""


def write_preset(path: Path, min_movies: int = 1, settle: float = 0.0, more: str = "") -> Path:
    path.write_text(PRESET.format(name=path.stem, min_movies=min_movies, settle=settle) + more, encoding="utf-8")
    return path


def movie_bytes(seed: int = 0) -> bytes:
    import io

    import tifffile

    buffer = io.BytesIO()
    frames = np.random.default_rng(seed).integers(0, 4, (FRAMES, SIZE, SIZE)).astype(np.uint8)
    title = "SerialEMCCD: Frames . ., scaled by 1  r/f 0"
    tifffile.imwrite(buffer, frames, compression="zlib", photometric="minisblack", description=title)
    return buffer.getvalue()


def add_movie(folder: Path, number: int, pixel: float = 1.06, mdoc: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    name = f"mov_{number:04d}.tif"
    (folder / name).write_bytes(movie_bytes(number))
    if mdoc:
        add_mdoc(folder, number, pixel)
    return folder / name


def add_mdoc(folder: Path, number: int, pixel: float = 1.06) -> None:
    name = f"mov_{number:04d}.tif"
    text = MDOC.format(pixel=pixel, shift=number % 3, name=name, frames=FRAMES, minute=number // 60, second=number % 60)
    (folder / f"{name}.mdoc").write_text(text, encoding="utf-8")


def small_session(folder: Path, n_movies: int = 3, pixel: float = 1.06) -> Path:
    for number in range(n_movies):
        add_movie(folder, number, pixel)
    return folder


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """All files below a folder with size and time, to see that nothing was written."""
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in sorted(root.rglob("*"))}


def wait_until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def launches(projects: Path) -> list[dict]:
    import json

    path = projects / LEDGER
    return json.loads(path.read_text()) if path.exists() else []


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
