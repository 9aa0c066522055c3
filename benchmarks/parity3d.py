"""One expectation step and one reconstruction, ours against RELION's, on the same particles and start map.

    python benchmarks/parity3d.py --models MODELS --out out/parity3d --n 500 --orders 2 3 --docs

Both programs do one iteration of 3D classification with one class from the true map at the same low-pass, without perturbation of the
grid and without flattening (ours flattens the start map too, RELION only later ones). A pose is the same when it differs by no more
than the fine angular step. Both also reconstruct a larger stack at its true poses.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from evaluation import matching_rows, particle_table
from measure import Cost, markdown_table, plain, publish, run_benchmark, run_measured, write_json
from runs import log_of, relion_program
from runs3d import Refinement3D, run_ours
from shared_options import add_docs, add_shared, benchmark_parser
from stacks3d import Stack3D, add_stack_options, chosen_stacks
from volume_metrics import matrices, pose_errors

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.imaging.filters import fsc, resolution_at
from relion4plugin.refinement.orientations import angular_step

# Standard deviation of the offsets (A) before the first iteration, ours and the default of RELION 3.1, whose prior on them is
# narrower than said by the pixel size.
START_OFFSET = 10.0
SAME_SHIFT = 1.0  # px, the fine step of the offsets
SIGNAL = 0.5  # FSC with the truth above which a shell of a reconstruction is more than noise
RECONSTRUCTION = "run_it001_class001.mrc"
NO_PRIOR = "1e9"  # T at which the average is not regularised
HEADER = (
    "Stack", "Coarse step (degrees)", "Same pose", "Same shift", "Median difference (degrees)", "True pose, ours", "True pose, RELION",
    "CPU, ours (s)", "CPU, RELION (s)", "Ratio",
)  # fmt: skip
MAP_HEADER = (
    "Stack", "Lowest FSC of the two reconstructions above noise", "Ours against the truth, FSC=0.5 (A)", "RELION's (A)",
)  # fmt: skip


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for stacks, runs and parity3d.json")
    add_stack_options(parser, ["gsec_c1"])
    parser.set_defaults(n=500, snr=0.1)
    parser.add_argument("--n-reconstruct", type=int, default=4000, help="particles of the stack that is reconstructed (%(default)s)")
    parser.add_argument("--orders", nargs="+", type=int, default=[2], help="HEALPix orders of the coarse grid: 3 is 7.5 degrees (2)")
    parser.add_argument("--shell", type=int, default=11, help="shell of the filter of the start map (%(default)s)")
    parser.add_argument("--pad", type=int, default=2, choices=(1, 2), help="padding of the references (%(default)s)")
    add_shared(parser, threads=1)
    add_docs(parser)
    return parser.parse_args(words)


def task_of(stack: Stack3D, order: int, options: argparse.Namespace) -> Refinement3D:
    """What both programs are asked for."""
    return Refinement3D(
        stack.particles, stack.map, stack.mask_diameter, initial_lowpass=stack.box_size * stack.pixel_size / options.shell,
        healpix_order=order, offset_range=6.0, greyscale=True, flatten=False, padding=options.pad, threads=options.threads,
    )  # fmt: skip


def run_both(task: Refinement3D, pixel_size: float, folder: Path, relion: str) -> tuple[Cost, Cost, Path, Path]:
    """One iteration of each program; costs and particle tables."""
    ours, theirs = folder / "ours", folder / "relion"
    plain_run = ["--iter", "1", "--K", "1", "--perturb", "0", "--tau2_fudge", "4"]
    our_cost = run_ours("class3d", ours, [*task.ours(), *plain_run, "--norm", "No", "--scale", "No"])
    theirs.mkdir(parents=True, exist_ok=True)
    prior = ["--offset", f"{START_OFFSET * pixel_size:g}"]
    command = [relion, "--o", f"{theirs.resolve()}/run", *task.relion(), *plain_run, *prior]
    their_cost = run_measured(command, log_of(theirs), cwd=task.particles.parent)
    return our_cost, their_cost, ours / "run_it001_data.star", theirs / "run_it001_data.star"


def compare_poses(ours: Path, theirs: Path, stack: Stack3D, order: int) -> dict[str, Any]:
    """Shares of particles with one pose and one shift in both results, and with the true pose in each."""
    truth = particle_table(stack.truth)
    a, b = (table.iloc[matching_rows(table, truth, star)] for star in (ours, theirs) for table in (particle_table(star),))
    step = angular_step(order) / 2
    between = pose_errors(matrices(a), matrices(b), "C1")
    labels = ["rlnOriginXAngst", "rlnOriginYAngst"]
    shift = np.linalg.norm(a[labels].to_numpy(float) - b[labels].to_numpy(float), axis=1) / stack.pixel_size
    genuine = truth["rlnSimulatedIsParticle"].to_numpy(dtype=int) > 0
    errors = [pose_errors(matrices(table), matrices(truth), "C1")[genuine] for table in (a, b)]
    return {
        "step": 2 * step,
        "same_pose": float((between <= step * 1.01).mean()),
        "same_pose_true": float((between[genuine] <= step * 1.01).mean()),
        "identical_pose": float((between < 0.01).mean()),
        "same_shift": float((shift <= SAME_SHIFT * 1.01).mean()),
        "median_difference": float(np.median(between)),
        "true_ours": float((errors[0] <= 2 * step).mean()),
        "true_relion": float((errors[1] <= 2 * step).mean()),
    }


def reconstructions(stack: Stack3D, folder: Path, program: str, options: argparse.Namespace) -> dict[str, Any]:
    """Reconstruct all particles at their true poses with both programs, and compare the maps with each other and with the truth.

    RELION's is that of its refinement, which weighs by the noise spectrum as ours does; `relion_reconstruct` does not.
    """
    ours, theirs = folder / "reconstruct_ours", folder / "reconstruct_relion"
    fixed = ["--i", str(stack.truth), "--ref", str(stack.map), "--skip_align", "--iter", "1", "--K", "1", "--tau2_fudge", NO_PRIOR]
    fixed += ["--particle_diameter", f"{stack.mask_diameter:g}", "--ini_high", f"{2 * stack.pixel_size:g}", "--j", str(options.threads)]
    words = ["--ref_correct_greyscale", "Yes", "--flatten_solvent", "No", "--norm", "No", "--scale", "No"]
    our_cost = run_ours("class3d", ours, [*fixed, *words, *([] if options.pad == 2 else ["--do_pad1", "Yes"])])
    theirs.mkdir(parents=True, exist_ok=True)
    flags = ["--ctf", "--ctf_corrected_ref", "--zero_mask", "--skip_gridding", "--dont_check_norm", "--oversampling", "0"]
    command = [program, "--o", f"{theirs.resolve()}/run", *fixed, *flags, "--pad", str(options.pad)]
    their_cost = run_measured(command, log_of(theirs), cwd=stack.truth.parent)
    maps = [read_mrc(path)[0] for path in (ours / RECONSTRUCTION, theirs / RECONSTRUCTION, stack.map)]
    between, ours_truth, theirs_truth = (np.asarray(fsc(maps[a], maps[b])) for a, b in ((0, 1), (0, 2), (1, 2)))
    signal = int(np.argmax(theirs_truth[1:] < SIGNAL)) if (theirs_truth[1:] < SIGNAL).any() else len(theirs_truth) - 1
    place = (SIGNAL, stack.pixel_size, stack.box_size)
    return {
        "lowest_fsc": float(between[1 : signal + 1].min()) if signal else float("nan"),
        "resolution_ours": resolution_at(ours_truth, *place),
        "resolution_relion": resolution_at(theirs_truth, *place),
        "fsc_ours_relion": between.round(4),
        "fsc_ours_truth": ours_truth.round(4),
        "fsc_relion_truth": theirs_truth.round(4),
        "cpu_ours": our_cost.cpu_seconds,
        "cpu_relion": their_cost.cpu_seconds,
    }


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = arguments(words)
    relion = relion_program()
    if relion is None:
        raise UserError("relion_refine is not on PATH; install RELION 3.1 (apt-get install relion)")
    figures: dict[str, Any] = {}
    rows, maps = [], []
    steps = chosen_stacks(options, n_micrographs=1)  # RELION 3.1 has a noise spectrum for each micrograph, ours for each optics group
    for stack, large in zip(steps, chosen_stacks(options, n_particles=options.n_reconstruct), strict=True):
        folder = options.out / stack.name
        made = reconstructions(large, folder, relion, options)
        maps.append([stack.name, *(made[key] for key in ("lowest_fsc", "resolution_ours", "resolution_relion"))])
        figures[stack.name] = {"reconstruction": made}
        for order in options.orders:
            ours, theirs, *stars = run_both(task_of(stack, order, options), stack.pixel_size, folder / f"order{order}", relion)
            found = compare_poses(stars[0], stars[1], stack, order)
            found |= {"ours": ours.as_dict(), "relion": theirs.as_dict(), "cpu_ratio": theirs.cpu_seconds / ours.cpu_seconds}
            figures[stack.name][f"order{order}"] = found
            keys = ("step", "same_pose", "same_shift", "median_difference", "true_ours", "true_relion")
            rows.append([stack.name, *(found[key] for key in keys), ours.cpu_seconds, theirs.cpu_seconds, found["cpu_ratio"]])
        write_json(options.out / "parity3d.json", vars(options), plain(figures))
    table = f"{markdown_table(HEADER, rows)}\n\n{markdown_table(MAP_HEADER, maps)}"
    (options.out / "parity3d.md").write_text(table + "\n")
    publish(table, "benchmarks.md", "parity3d", options.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
