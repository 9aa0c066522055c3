"""Particle extraction beside RELION's program on the same micrographs, and the list of particles of a long session.

    python benchmarks/extract.py --out DIR

Micrographs of noise are written once; each program extracts, down-scales, normalises and inverts the same picks, as a whole process of one
thread. The list is measured on the files of `--session` finished micrographs: as a job that has nothing left to do but to list them, and as
one that adds a hundredth of new ones. Prints Markdown tables and writes extract.json.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from measure import Cost, markdown_table, run_benchmark, run_measured, write_json

from relion4plugin.files.coordinates import write_coordinate_list
from relion4plugin.files.joined_table import JoinedTable
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import write_star

MICROGRAPHS, PICKS = "micrographs.star", "picks.star"
OPTICS = pd.DataFrame(
    {
        "rlnOpticsGroupName": ["og1"], "rlnOpticsGroup": [1], "rlnMicrographOriginalPixelSize": [1.0], "rlnVoltage": [300.0],
        "rlnSphericalAberration": [2.7], "rlnAmplitudeContrast": [0.1], "rlnMicrographPixelSize": [1.0],
    }
)


@dataclass(frozen=True)
class Task:
    """One extraction: box and scaled box in px, and whether it is normalised and inverted."""

    name: str
    box: int
    scaled: int
    normalise: bool = True


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="directory for data, logs and results")
    parser.add_argument("--micrographs", type=int, default=10, help="micrographs to extract from (default 10)")
    parser.add_argument("--particles", type=int, default=300, help="particles of each (default 300)")
    parser.add_argument("--size", type=int, default=4096, help="side of a micrograph, px (default 4096)")
    parser.add_argument("--box", type=int, default=256, help="box, px (default 256)")
    parser.add_argument("--scale", type=int, default=64, help="scaled box, px (default 64)")
    parser.add_argument("--session", type=int, default=5000, help="finished micrographs of the list (default 5000)")
    parser.add_argument("--rows", type=int, default=100, help="particles of each of them (default 100)")
    return parser.parse_args(words)


def table_of(names: Sequence[str]) -> pd.DataFrame:
    """Return the table of micrographs with a CTF."""
    ctf = {"rlnDefocusU": 1.2e4, "rlnDefocusV": 1.1e4, "rlnDefocusAngle": 33.0, "rlnCtfFigureOfMerit": 0.1, "rlnCtfMaxResolution": 4.0}
    return pd.DataFrame({"rlnMicrographName": list(names), "rlnOpticsGroup": 1}).assign(**ctf)


def write_project(folder: Path, o: argparse.Namespace) -> None:
    """Write micrographs and picks."""
    rng = np.random.default_rng(1)
    (folder / "Movies").mkdir(parents=True, exist_ok=True)
    noise = rng.normal(10, 2, (o.size, o.size)).astype(np.float32)
    names = [f"Movies/m{i:03d}.mrc" for i in range(o.micrographs)]
    for i, name in enumerate(names):
        write_stack(folder / name, np.roll(noise, 7 * i, axis=1)[None], 1.0)
        x, y = rng.uniform(0, o.size, (2, o.particles))
        picks = pd.DataFrame({"rlnCoordinateX": x, "rlnCoordinateY": y, "rlnAutopickFigureOfMerit": rng.random(o.particles)})
        write_star(folder / f"Movies/m{i:03d}_pick.star", {"": picks})
    write_star(folder / MICROGRAPHS, {"optics": OPTICS, "micrographs": table_of(names)})
    write_coordinate_list(folder / PICKS, names, [name.replace(".mrc", "_pick.star") for name in names])


def our_command(task: Task, out: str, half: bool, threads: int) -> list[str]:
    """Our extraction as a user calls it."""
    words = [sys.executable, "-m", "relion4plugin.cli.main", "extract", "--i", MICROGRAPHS, "--coord_list", PICKS, "--o", out]
    words += ["--overwrite", "--extract_size", str(task.box), "--scale", str(task.scaled), "--j", str(threads)]
    words += ["--do_float16", "Yes" if half else "No"]
    return [*words, "--quiet"] + ([] if task.normalise else ["--do_norm", "No", "--do_invert", "No"])


def relion_command(task: Task, out: str, program: str) -> list[str]:
    """RELION's extraction of the same."""
    words = [program, "--i", MICROGRAPHS, "--coord_dir", "./", "--coord_suffix", "_pick.star", "--part_dir", f"{out}/"]
    words += ["--part_star", f"{out}/particles.star", "--extract", "--extract_size", str(task.box), "--scale", str(task.scaled)]
    radius = int(0.75 * task.box / 2 * task.scaled / task.box)
    return words + (["--norm", "--bg_radius", str(radius), "--invert_contrast"] if task.normalise else [])


def measure_extraction(folder: Path, o: argparse.Namespace) -> list[dict[str, object]]:
    """Run all programs on all tasks."""
    program = shutil.which("relion_preprocess")
    tasks = (Task("scaled, normalised", o.box, o.scale), Task("whole, normalised", o.box, o.box), Task("cut only", o.box, o.box, False))
    rows: list[dict[str, object]] = []
    for task in tasks:
        commands = {"ours": our_command(task, "ours", False, 1), "ours, 16 bits": our_command(task, "half", True, 1)}
        commands["ours, 2 threads"] = our_command(task, "threads", False, 2)
        if program is not None:
            commands["RELION 3.1"] = relion_command(task, "relion", program)
        for name, command in commands.items():
            cost: Cost = run_measured(command, folder / "logs" / f"{name}.log", folder)
            rows.append({"task": task.name, "program": name, **cost.as_dict()})
    return rows


def write_session(folder: Path, o: argparse.Namespace) -> list[str]:
    """Write the files of a long session as if they had been extracted; RELION opens the micrographs, so a small one stands for all."""
    names = [f"Movies/m{i:05d}.mrc" for i in range(o.session)]
    rng = np.random.default_rng(2)
    x, y = rng.uniform(0, 4096, (2, o.rows))
    rows = pd.DataFrame({"rlnCoordinateX": x, "rlnCoordinateY": y, "rlnAutopickFigureOfMerit": rng.random(o.rows)})
    stack = "Extract/Movies/m00000.mrcs"
    rows = rows.assign(rlnImageName=[f"{i + 1:06d}@{stack}" for i in range(o.rows)], rlnMicrographName=names[0], rlnOpticsGroup=1)
    ctf = {"rlnDefocusU": 1.2e4, "rlnDefocusV": 1.1e4, "rlnDefocusAngle": 33.0, "rlnCtfBfactor": 0.0, "rlnCtfScalefactor": 1.0}
    first = folder / "Extract/Movies/m00000_extract.star"
    first.parent.mkdir(parents=True, exist_ok=True)
    write_star(first, {"images": rows.assign(**ctf, rlnPhaseShift=0.0)})
    text = first.read_text()
    (folder / "Movies").mkdir(exist_ok=True)
    write_stack(folder / names[0], np.zeros((1, 8, 8), dtype=np.float32), 1.0)
    for name in names[1:]:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(Path(names[0]).name)
        (folder / "Extract" / name.replace(".mrc", "_extract.star")).write_text(text.replace("m00000", Path(name).stem))
    return names


def measure_list(folder: Path, o: argparse.Namespace) -> dict[str, float]:
    """Return seconds for the first list, one without news, one with a hundredth of news, and RELION's."""
    names = write_session(folder, o)
    files = {name: folder / "Extract" / name.replace(".mrc", "_extract.star") for name in names}
    path, before = folder / "Extract/particles.star", {"optics": OPTICS}
    old = dict(list(files.items())[: -max(1, o.session // 100)])
    found: dict[str, float] = {}
    for label, content in (("first list", old), ("nothing new", old), ("a hundredth new", files)):
        start = time.perf_counter()
        JoinedTable(path, "particles").write(before, content)
        found[label] = time.perf_counter() - start
    program = shutil.which("relion_preprocess")
    if program is not None:
        write_star(folder / MICROGRAPHS, {"optics": OPTICS, "micrographs": table_of(names)})
        words = [*relion_command(Task("", 256, 64), "Extract", program), "--only_do_unfinished"]
        words[words.index("Extract/particles.star")] = "Extract/relion.star"
        found["RELION 3.1, all again"] = run_measured(words, folder / "logs" / "list.log", folder).wall_seconds
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print and store the figures."""
    o = arguments(words)
    write_project(o.out / "project", o)
    extraction = measure_extraction(o.out / "project", o)
    listing = measure_list(o.out / "session", o)
    print(markdown_table(list(extraction[0]), [list(row.values()) for row in extraction]))
    print(markdown_table(["list", "seconds"], [[name, seconds] for name, seconds in listing.items()]))
    definition = {key: value for key, value in vars(o).items() if key != "out"}
    write_json(o.out / "extract.json", definition, {"extraction": extraction, "list": listing})
    return 0


if __name__ == "__main__":
    run_benchmark(main)
