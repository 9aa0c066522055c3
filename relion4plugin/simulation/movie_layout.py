"""Names of the files of a session, and how they arrive."""

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from relion4plugin.files.atomic import atomic_write_bytes
from relion4plugin.simulation.movie_plan import MoviePlan, stream
from relion4plugin.simulation.movie_spec import DATE_FORMAT, MovieSpec

SECONDS = 20.0  # between movies, in names and metadata, where they are made all at once
FRAME_TIME = 0.1  # s
FIRST_SQUARE, FIRST_HOLE, TEMPLATE = 8_999_138, 9_015_883, 9_017_347  # EPU's numbers
MOVIES_PER_SQUARE = 60
HOLE_STEP, SHIFT_SCATTER = 0.05, 0.001  # of the beam shift, in EPU's unit
ENDINGS = {"tiff": "_fractions.tiff", "mrc": "_Fractions.mrc", "eer": "_EER.eer"}
OUTPUT_FORMATS = {"tiff": "Tiff Lzw Non-Gain normalized", "mrc": "Mrc Non-Gain normalized", "eer": "EER"}
GROUP_STREAM, SHIFT_PART, IDENTITY_STREAM = 0x67726F, 30, 31


@dataclass(frozen=True)
class SessionLayout:
    """Names of one session, relative to its folder."""

    spec: MovieSpec

    def folder(self, index: int) -> str:
        """Folder of a movie."""
        if self.spec.layout == "flat":
            return "Movies"
        return f"Images-Disc1/GridSquare_{FIRST_SQUARE + index // MOVIES_PER_SQUARE}/Data"

    def stem(self, index: int) -> str:
        """Name of a movie without its ending."""
        if self.spec.layout == "flat":
            return f"movie_{index + 1:05d}"
        when = self.acquired(index).strftime("%Y%m%d_%H%M%S")
        return f"FoilHole_{FIRST_HOLE + index}_Data_{TEMPLATE}_{index % self.spec.n_optics_groups}_{when}"

    def movie(self, index: int) -> str:
        """File of a movie."""
        ending = f".{self.spec.file_format}" if self.spec.layout == "flat" else ENDINGS[self.spec.file_format]
        return f"{self.folder(index)}/{self.stem(index)}{ending}"

    def truth(self, index: int) -> str:
        """File with the truth of a movie."""
        return f"Truth/{self.stem(index)}.star"

    @property
    def gain(self) -> str:
        """File of the gain reference."""
        if self.spec.file_format == "eer":
            return f"{self.acquired(0).strftime('%Y%m%d_%H%M%S')}_EER_GainReference.gain"
        if self.spec.layout == "epu" and self.spec.file_format == "tiff":
            return f"{self.folder(0)}/{self.stem(0)}_gain.tiff"
        return "gain.mrc"

    def acquired(self, index: int) -> datetime:
        """When a movie was taken."""
        return datetime.strptime(self.spec.start, DATE_FORMAT) + timedelta(seconds=index * (self.spec.interval or SECONDS))

    def beam_shift(self, index: int) -> tuple[float, float]:
        """Beam shift of a movie, which tells its optics group: holes on a square lattice, with a little scatter."""
        group, columns = index % self.spec.n_optics_groups, int(np.ceil(np.sqrt(self.spec.n_optics_groups)))
        hole = np.array([group % columns, group // columns]) - (columns - 1) / 2
        x, y = HOLE_STEP * hole + SHIFT_SCATTER * np.clip(stream(self.spec, index, SHIFT_PART).standard_normal(2), -2.5, 2.5)
        return float(x), float(y)

    def order(self) -> list[int]:
        """Order in which movies arrive."""
        indices = np.arange(self.spec.n_movies)
        if self.spec.shuffled:
            np.random.default_rng(np.random.SeedSequence((self.spec.seed, GROUP_STREAM))).shuffle(indices)
        return [int(index) for index in indices]


def write_session_file(layout: SessionLayout, out: Path) -> None:
    """Write EpuSession.dm."""
    from relion4plugin.simulation.epu_session import session_xml

    spec = layout.spec
    content = session_xml(
        out.resolve().name, layout.acquired(0), spec.n_optics_groups, OUTPUT_FORMATS[spec.file_format], spec.phase_shift != 0, spec.tilt
    )
    atomic_write_bytes(out / "EpuSession.dm", content)


def write_image_file(layout: SessionLayout, plan: MoviePlan, out: Path) -> None:
    """Write the XML file beside a movie; its defocus is the one asked for, a little off the true one."""
    from relion4plugin.simulation.epu_session import DETECTORS, EpuImage, image_xml

    spec, index = layout.spec, plan.index
    square, hole = divmod(index, MOVIES_PER_SQUARE)
    applied = 1000.0 * round(float(plan.ctf.defocus_u[0]) / 1000.0)
    image = EpuImage(
        acquired=layout.acquired(index),
        pixel_size=spec.pixel_size * 1e-10,
        voltage=spec.voltage * 1000.0,
        dose=spec.dose_per_frame * spec.n_frames * 1e20,
        n_frames=spec.n_frames,
        exposure=FRAME_TIME * spec.n_frames,
        shape=(spec.height // spec.upsampling, spec.width // spec.upsampling),
        super_resolution=spec.super_resolution,
        defocus=-applied * 1e-10,
        beam_shift=layout.beam_shift(index),
        phase_plate=spec.phase_shift != 0,
        tilt=float(np.deg2rad(spec.tilt)),
        stage=(1e-4 * square, 2.6e-6 * hole),
        detector=DETECTORS[spec.file_format],
        gain_reference=layout.gain if spec.file_format == "eer" else "",
        is_eer=spec.file_format == "eer",
        identity=str(uuid.UUID(bytes=stream(spec, index, IDENTITY_STREAM).bytes(16), version=4)),
    )
    atomic_write_bytes(out / layout.folder(index) / f"{layout.stem(index)}.xml", image_xml(image))


def deliver(finished: Path, target: Path, seconds: float, wait: Callable[[float], None]) -> None:
    """Let a file appear as a camera writes it: half of it first, the rest after a while.

    Parameters
    ----------
    finished : Path
        The whole file, on the same disk; it is gone afterwards.
    target : Path
        Where it appears.
    seconds : float
        Time until it is whole.
    wait : callable
        Lets that time pass.
    """
    content = finished.read_bytes()
    with target.open("wb") as growing:
        growing.write(content[: len(content) // 2])
        growing.flush()
        wait(seconds)
        growing.write(content[len(content) // 2 :])
        growing.flush()
        os.fsync(growing.fileno())
    finished.unlink()
