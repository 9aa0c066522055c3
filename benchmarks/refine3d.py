"""Auto-refinement, ours and RELION's, side by side: cost, resolution of the half maps, agreement with a known map and known poses.

    python benchmarks/refine3d.py --out out/refine3d --particles bgal/particles.star --reference D2.mrc --known D2.mrc \
        --poses bgal/particles_reference_poses.star --diameter 200 --symmetry D2 --docs
    python benchmarks/refine3d.py --out out/refine3d --models MODELS --stacks bgal_d2 --skip relion

The start map is the reference low-passed to --lowpass. RELION needs its MPI program (a leader and a worker for each half) and float32
stacks, which are made in OUT; both programs get the same copy. Finished runs in OUT are not repeated: --again does.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import matching_rows, particle_table
from measure import markdown_table, plain, publish, run_benchmark, write_json
from runs3d import Refinement3D, float32_copy, relion_mpi, run_our_refinement, run_relion_refinement
from stacks3d import add_stack_options, chosen_stacks
from volume_metrics import KnownStructure, compare_map, half_map_resolution, matrices, pose_errors, pose_figures

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.model3d_star import Refine3DResults, read_3d_results

HEADER = (
    "Particles", "Program", "CPU (s)", "of these workers (s)", "Wall (s)", "Memory (MiB)", "Iterations", "Half maps, FSC=0.143 (A)",
    "Known map, FSC=0.5 (A)", "Median pose error (degrees)", "Poses within 10 degrees",
)  # fmt: skip
KEYS = (
    "cpu_seconds", "worker_cpu_seconds", "wall_seconds", "peak_rss_mib", "iterations", "half_map_resolution", "known_map_resolution",
    "pose_median", "pose_within_10",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One particle set and what is known about it."""

    name: str
    task: Refinement3D
    known: KnownStructure
    poses: Path | None  # particles with known poses: all of them or some


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and refine3d.json")
    add_stack_options(parser, [])
    parser.add_argument("--particles", type=Path, help="STAR file of real particles")
    parser.add_argument("--reference", type=Path, help="start map of the real particles")
    parser.add_argument("--known", type=Path, help="map to compare with; default: the reference")
    parser.add_argument("--poses", type=Path, help="STAR file with known poses of all or some of the real particles")
    parser.add_argument("--diameter", type=float, default=200.0, help="mask diameter of the real particles in A (%(default)s)")
    parser.add_argument("--symmetry", default="D2", help="point group of the real particles (%(default)s)")
    parser.add_argument("--lowpass", type=float, default=60.0, help="filter of the start map in A (%(default)s)")
    parser.add_argument("--healpix-order", type=int, default=2, help="first coarse sampling; 2 is 15 degrees (%(default)s)")
    parser.add_argument("--pad", type=int, default=2, choices=(1, 2), help="padding of the references (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of our program, and of each worker of RELION's (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (%(default)s)")
    parser.add_argument("--skip", nargs="*", default=[], choices=("ours", "relion"), help="runs to leave out")
    parser.add_argument("--again", action="store_true", help="repeat finished runs")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args(words)
    if options.particles and not options.reference:
        parser.error("--particles needs --reference, the start map")
    if options.stacks and not options.models:
        parser.error("--stacks needs --models, the folder of the structures")
    if not options.particles and not options.stacks:
        parser.error("nothing to refine: give --particles or --stacks")
    return options


def cases(options: argparse.Namespace) -> list[Case]:
    """List what is refined: the real particles if given, then the simulated stacks."""
    search = {"initial_lowpass": options.lowpass, "healpix_order": options.healpix_order, "padding": options.pad,
              "threads": options.threads, "seed": options.seed}  # fmt: skip
    found = []
    if options.particles:
        particles = float32_copy(options.particles, options.out / "float32")
        task = Refinement3D(particles, options.reference.resolve(), options.diameter, options.symmetry, **search)
        known = KnownStructure(options.known or options.reference, options.symmetry, options.diameter)
        found.append(Case(options.particles.parent.name, task, known, options.poses))
    for stack in chosen_stacks(options):
        task = Refinement3D(stack.particles, stack.map, stack.mask_diameter, stack.symmetry, **search)
        found.append(Case(stack.name, task, KnownStructure(stack.map, stack.symmetry, stack.mask_diameter), stack.truth))
    return found


def run_case(case: Case, program: str, folder: Path, again: bool) -> dict[str, Any]:
    """Run one program on one case, or take the cost of its finished run; and judge its result."""
    out, record = folder / program, folder / f"{program}_cost.json"
    if again or not record.is_file():
        atomic_write_text(record, json.dumps(_run(case.task, program, out)) + "\n")
    return dict(json.loads(record.read_text())) | judge(case, out)


def _run(task: Refinement3D, program: str, out: Path) -> dict[str, float]:
    if program == "ours":
        cost = run_our_refinement(task, out)
        return cost.as_dict() | {"worker_cpu_seconds": round(cost.cpu_seconds, 2)}
    programs = relion_mpi()
    assert programs is not None  # as `main` has checked
    cost, workers = run_relion_refinement(task, out, programs)
    return cost.as_dict() | {"worker_cpu_seconds": round(workers, 2)}


def judge(case: Case, out: Path) -> dict[str, Any]:
    """Figures of a finished run: all are computed here in the same way, whoever made the maps."""
    results = read_3d_results(out)
    if not isinstance(results, Refine3DResults):
        raise UserError(f"{out}: not an auto-refinement; give the folder of one")
    found = compare_map(results.maps[0], case.known)
    resolution, curve = half_map_resolution(*results.half_maps, case.task.diameter)
    figures: dict[str, Any] = {
        "converged": results.converged,
        "iterations": results.iteration,
        "reported_resolution": results.current_resolution,
        "half_map_resolution": resolution,
        "half_map_fsc": curve.round(3),
        "known_map_resolution": found.resolution,
        "known_map_fsc": found.fsc.round(3),
    }
    if case.poses is not None:
        figures |= pose_figures(results.data_star, case.poses, case.task.symmetry, found)
    return figures


def mutual(case: Case, first: Path, second: Path) -> dict[str, Any]:
    """Agreement of two runs with each other: share of particles within 5 and 10 degrees, both in the frame of the start map."""
    stars = [read_3d_results(out).data_star for out in (first, second)]
    a, b = (particle_table(star) for star in stars)
    errors = pose_errors(matrices(a.iloc[matching_rows(a, b, stars[0])]), matrices(b), case.task.symmetry)
    return {"within_5": float((errors < 5).mean()), "within_10": float((errors < 10).mean())}


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = arguments(words)
    programs = [name for name in ("ours", "relion") if name not in options.skip]
    if "relion" in programs and relion_mpi() is None:
        print("mpirun or relion_refine_mpi is not on PATH: RELION's run is left out", flush=True)
        programs.remove("relion")
    figures: dict[str, Any] = {}
    rows = []
    for case in cases(options):
        folder = options.out / case.name
        figures[case.name] = {}
        for program in programs:
            print(f"{case.name}: {program}", flush=True)
            figures[case.name][program] = one = run_case(case, program, folder, options.again)
            rows.append([case.name, "RELION 3.1" if program == "relion" else "ours", *(one.get(key, "-") for key in KEYS)])
            write_json(options.out / "refine3d.json", vars(options), plain(figures))  # after each run: a long benchmark may be stopped
        if len(programs) == 2:
            figures[case.name]["mutual"] = mutual(case, *(folder / program for program in programs))
            write_json(options.out / "refine3d.json", vars(options), plain(figures))
    table = markdown_table(HEADER, rows)
    (options.out / "refine3d.md").write_text(table + "\n")
    publish(table, "benchmarks.md", "refine3d", options.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
