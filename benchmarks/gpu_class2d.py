"""Our 2D classification on a GPU: particles per hour and arithmetic per second.

    python benchmarks/gpu_class2d.py --out out/gpu --n 500000 --box 100 --k 100

The stack (float16) is made on the device first and is not part of the time; reading it during the run is. The whole job counts: start,
all mini-batches, the final pass over all particles, all files. Writes OUT/gpu_class2d.json and, with --docs, the table in
docs/benchmarks.md. The arithmetic is that of the coarse scores alone (4 operations per component, class, angle and shift), a lower
bound: the fine pass, back-projection and transforms come on top.
"""

import argparse
import math
import time
from typing import Any

from device_stack import StackDefinition, write_device_stack
from measure import markdown_table, publish, run_benchmark, write_json
from shared_options import add_docs, add_shared, benchmark_parser

from relion4plugin.arrays import device_namespace
from relion4plugin.files.iterations import read_iterations
from relion4plugin.files.particles import read_particles
from relion4plugin.progress import Silent
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.sampling import coarse_image_size, make_sampling
from relion4plugin.refinement.settings import Algorithm, RefinementSettings

HEADER = ["Device", "Particles", "K", "Wall (s)", "Million particles/h", "Million visits/h", "Coarse scores (TFLOP/s)", "Matmul (TFLOP/s)"]


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for stack, run and gpu_class2d.json")
    add_shared(parser, n=500000, box=100, pixel=3.0, k=100, iter=200, gpu=0, memory=16.0, threads=8)
    parser.add_argument("--cpu", action="store_true", help="run on numpy instead, to try the script out")
    add_docs(parser)
    return parser.parse_args(words)


def matmul_rate(xp: Any, size: int) -> float:
    """Best float32 matrix product of the device in FLOP/s, out of three."""
    a = xp.ones((size, size), dtype=xp.float32)
    best = math.inf
    for _ in range(3):
        start = time.perf_counter()
        float((a @ a)[0, 0])  # reading one value back waits for the device
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best


def coarse_operations(settings: RefinementSettings, box: int, pixel_size: float, records: list[dict[str, Any]]) -> float:
    """Operations of all coarse scores of a run."""
    sampling = make_sampling(settings, 0.0)
    per_component = 4.0 * settings.n_classes * len(sampling.psi_coarse) * len(sampling.shifts.coarse)
    total = 0.0
    for record in records:
        size = coarse_image_size(settings, box, pixel_size, sampling.psi_step, int(record["current_size"]))
        total += record["subset_size"] * per_component * math.pi / 8 * size**2  # half of a disc of diameter `size`
    return total


def table_row(figures: dict[str, Any], options: argparse.Namespace) -> list[object]:
    """One line of the table, in millions per hour and 10^12 operations per second."""
    hourly = (figures["particles_per_hour"] / 1e6, figures["visits_per_hour"] / 1e6)
    rates = (figures["coarse_flops"] / 1e12, figures["matmul_flops"] / 1e12)
    return [figures["device"], options.n, options.k, figures["wall_seconds"], *hourly, *rates]


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = arguments(words)
    gpu = None if options.cpu else options.gpu
    xp = device_namespace(gpu)
    definition = StackDefinition(options.n, options.box, options.pixel)
    begin = time.perf_counter()
    star = write_device_stack(definition, options.out / "stack", xp)
    print(f"stack of {options.n} images made in {time.perf_counter() - begin:.1f} s", flush=True)
    settings = RefinementSettings(
        algorithm=Algorithm.VDAM, n_classes=options.k, n_iterations=options.iter, particle_diameter=1.1 * definition.diameter,
        gpu=gpu, memory_limit=options.memory, threads=options.threads, seed=1, write_every=max(10, options.iter // 4),
    )  # fmt: skip
    begin = time.perf_counter()
    refine(settings, read_particles(star), options.out / "run", Silent())
    wall = time.perf_counter() - begin
    figures = summarise(settings, options, read_iterations(options.out / "run" / "run_iterations.jsonl"), wall, xp)
    write_json(options.out / "gpu_class2d.json", vars(options), figures)
    table = markdown_table(HEADER, [table_row(figures, options)])
    (options.out / "gpu_class2d.md").write_text(table + "\n")
    publish(table, "benchmarks.md", "gpu_class2d", options.docs)
    return 0


def summarise(
    settings: RefinementSettings, options: argparse.Namespace, records: list[dict[str, Any]], wall: float, xp: Any
) -> dict[str, Any]:
    """All figures of the run."""
    visits = sum(int(record["subset_size"]) for record in records)
    on_gpu = xp.__name__ == "cupy"
    return {
        "device": xp.cuda.runtime.getDeviceProperties(options.gpu)["name"].decode() if on_gpu else "CPU (numpy)",
        "wall_seconds": wall,
        "iteration_seconds": sum(float(record["seconds"]) for record in records),
        "visits": visits,
        "particles_per_hour": 3600 * options.n / wall,
        "visits_per_hour": 3600 * visits / wall,
        "coarse_flops": coarse_operations(settings, options.box, options.pixel, records) / wall,
        "matmul_flops": matmul_rate(xp, 8192 if on_gpu else 1024),
        "occupancy": records[-1]["class_distribution"],
    }


if __name__ == "__main__":
    run_benchmark(main)
