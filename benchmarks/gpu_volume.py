"""Our initial models on a GPU: visits per hour and arithmetic per second, with one class and with several.

    python benchmarks/gpu_volume.py --out out/gpu3d --n 10000 --box 128 --k 1 4

The stack (float16) is made on the device first and is not part of the time; reading it during the runs is. The whole run counts: start,
all mini-batches, all files. Writes OUT/gpu_volume.json and, with --docs, the table in docs/benchmarks.md. The arithmetic is that of the
coarse scores alone (4 operations per component, class, slice and shift: a slice serves four orientations), a lower bound: the fine
pass, back-projection, transforms and maximisation come on top.
"""

import argparse
import math
import time
from typing import Any

from device_stack import StackDefinition, write_device_stack
from gpu_class2d import matmul_rate
from measure import markdown_table, publish, run_benchmark, write_json
from shared_options import add_docs, add_shared, benchmark_parser

from relion4plugin.arrays import device_namespace
from relion4plugin.files.iterations import read_iterations
from relion4plugin.files.particles import read_particles
from relion4plugin.progress import Silent
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.orientations import angular_step, make_global_grid
from relion4plugin.refinement.sampling import coarse_image_size, make_shifts
from relion4plugin.refinement.settings import Algorithm, RefinementSettings

HEADER = ["Device", "Particles", "Box (px)", "K", "Wall (s)", "Thousand visits/h", "Coarse scores (TFLOP/s)", "Matmul (TFLOP/s)"]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for stack, runs and gpu_volume.json")
    add_shared(parser, n=10000, box=128, pixel=2.5, iter=200, gpu=0, memory=16.0, threads=8)
    parser.add_argument("--k", type=int, nargs="+", default=[1, 4], help="classes of each run (1 4)")
    parser.add_argument("--padding", type=int, default=1, help="padding factor of the maps (%(default)s)")
    parser.add_argument("--cpu", action="store_true", help="run the CPU kernels instead, for comparison or to try the script out")
    add_docs(parser)
    return parser.parse_args(words)


def settings_of(options: argparse.Namespace, n_classes: int, diameter: float) -> RefinementSettings:
    """What the initial-model job asks for by default."""
    return RefinementSettings(
        dimension=3, algorithm=Algorithm.VDAM, n_classes=n_classes, n_iterations=options.iter, tau2_fudge=4.0,
        particle_diameter=1.1 * diameter, norm_correction=False, scale_correction=False, center_classes=False, inactivity_threshold=0.0,
        healpix_order=1, offset_range=6.0, offset_step=4.0, auto_sampling=True, auto_ignore_angles=True, padding=options.padding,
        gpu=None if options.cpu else options.gpu, memory_limit=options.memory, threads=options.threads, seed=1,
        write_every=max(10, options.iter // 4),
    )  # fmt: skip


def coarse_operations(settings: RefinementSettings, box: int, pixel_size: float, records: list[dict[str, Any]]) -> float:
    """Operations of all coarse scores of a run."""
    total = 0.0
    for record in records:
        order = int(record["healpix_order"])
        slices = make_global_grid(order, settings.symmetry, 0.0).n_slices
        coarse_step = 2.0**settings.oversampling * record["offset_step"] / pixel_size
        shifts = len(make_shifts(coarse_step, record["offset_range"] / pixel_size, 0.0, 0).coarse)
        size = coarse_image_size(settings, box, pixel_size, angular_step(order), int(record["current_size"]))
        components = math.pi / 8 * size**2  # half of a disc of diameter `size`
        total += record["subset_size"] * 4.0 * settings.n_classes * slices * shifts * components
    return total


def summarise(
    settings: RefinementSettings, options: argparse.Namespace, records: list[dict[str, Any]], wall: float, device: str
) -> dict[str, Any]:
    """All figures of one run."""
    visits = sum(int(record["subset_size"]) for record in records)
    return {
        "device": device,
        "k": settings.n_classes,
        "wall_seconds": wall,
        "iteration_seconds": [float(record["seconds"]) for record in records],
        "visits": visits,
        "visits_per_hour": 3600 * visits / wall,
        "coarse_flops": coarse_operations(settings, options.box, options.pixel, records) / wall,
        "resolution": records[-1]["resolution"],
        "healpix_order": records[-1]["healpix_order"],
        "occupancy": records[-1]["class_distribution"],
    }


def device_name(xp: Any, gpu: int) -> str:
    """Name of the card, or of what stands in for it."""
    return xp.cuda.runtime.getDeviceProperties(gpu)["name"].decode() if xp.__name__ == "cupy" else "CPU (kernels)"


def table_row(figures: dict[str, Any], options: argparse.Namespace, matmul: float) -> list[object]:
    """One line of the table, in thousands per hour and 10^12 operations per second."""
    rates = (figures["visits_per_hour"] / 1e3, figures["coarse_flops"] / 1e12, matmul / 1e12)
    return [figures["device"], options.n, options.box, figures["k"], figures["wall_seconds"], *rates]


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = arguments(words)
    xp = device_namespace(None if options.cpu else options.gpu)
    definition = StackDefinition(options.n, options.box, options.pixel)
    begin = time.perf_counter()
    star = write_device_stack(definition, options.out / "stack", xp)
    print(f"stack of {options.n} images made in {time.perf_counter() - begin:.1f} s", flush=True)
    runs = []
    for n_classes in options.k:
        settings, folder = settings_of(options, n_classes, definition.diameter), options.out / f"run_k{n_classes}"
        begin = time.perf_counter()
        refine(settings, read_particles(star), folder, Silent())
        wall = time.perf_counter() - begin
        runs.append(summarise(settings, options, read_iterations(folder / "run_iterations.jsonl"), wall, device_name(xp, options.gpu)))
        print(f"K={n_classes}: {wall:.1f} s", flush=True)
    matmul = matmul_rate(xp, 1024 if options.cpu else 8192)
    write_json(options.out / "gpu_volume.json", vars(options), {"matmul_flops": matmul, "runs": runs})
    table = markdown_table(HEADER, [table_row(figures, options, matmul) for figures in runs])
    (options.out / "gpu_volume.md").write_text(table + "\n")
    publish(table, "benchmarks.md", "gpu_volume", options.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
