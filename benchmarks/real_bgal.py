"""Our VDAM on real beta-galactosidase particles: cost of the whole process, and the classes beside those of another run.

    python benchmarks/real_bgal.py --particles bgal/particles.star --out out/bgal --compare relion/Class2D/job002

K=25, 200 mini-batches, mask diameter 200 A, T=2, padding 2, coarse steps 12 degrees and 2 px within 5 px. Writes OUT/real_bgal.json,
OUT/gallery.png and, with --docs, the table in docs/benchmarks.md and the picture in docs/images/.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import metrics
from evaluation import largest
from gallery import write_gallery
from measure import REPOSITORY, class2d_command, markdown_table, publish, run_benchmark, run_measured, write_json
from runs import SEARCH, log_of
from shared_options import add_docs, add_shared, benchmark_parser

from relion4plugin.errors import UserError
from relion4plugin.files.model_star import Class2DResults, read_class2d_results

OPTIONS = ("--grad", "--K", "25", "--tau2_fudge", "2", "--particle_diameter", "200", *SEARCH, "--pad", "2")
PICTURE = Path("docs") / "images" / "bgal_class2d.png"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = benchmark_parser(__doc__, "folder for the run, real_bgal.json and gallery.png")
    parser.add_argument("--particles", type=Path, required=True, help="particles.star")
    parser.add_argument("--compare", type=Path, help="folder of another 2D classification of the same particles")
    parser.add_argument("--compare-name", default="RELION 4.0 VDAM", help="its title in the gallery (%(default)s)")
    add_shared(parser, iter=200, threads=2, seed=1)
    add_docs(parser, "", what="table and picture")
    return parser.parse_args(words)


def summary(results: Class2DResults) -> dict[str, Any]:
    """Figures of one run that need no truth."""
    counts, resolution = results.classes["n_particles"].to_numpy(), results.classes["resolution"].to_numpy()
    return {
        "particles": int(counts.sum()),
        "estimated_resolution_ten": metrics.mean_resolution(resolution[largest(counts)]),
        "best_resolution": float(resolution.min()),
        "effective_classes": metrics.effective_classes(counts),
        "empty_classes": int((counts == 0).sum()),
    }


def main(words: list[str] | None = None) -> int:
    """Run the benchmark."""
    options = arguments(words)
    particles = options.particles.resolve()
    if not particles.is_file():
        raise UserError(f"--particles {options.particles}: no such file; give the STAR file of the particles")
    out = options.out / "vdam"
    chosen = [*OPTIONS, "--iter", str(options.iter), "--j", str(options.threads), "--random_seed", str(options.seed)]
    words_run = class2d_command("--i", str(particles), "--o", str(out.resolve()), "--overwrite", "--quiet", *chosen)
    cost = run_measured(words_run, log_of(out), cwd=particles.parent)
    runs = [("VDAM, this program", read_class2d_results(out))]
    if options.compare is not None:
        runs.append((options.compare_name, read_class2d_results(options.compare)))
    figures: dict[str, Any] = {name: summary(results) for name, results in runs}
    figures[runs[0][0]] |= cost.as_dict()
    write_json(options.out / "real_bgal.json", vars(options), figures)
    write_gallery(options.out / "gallery.png", runs)
    costs = ("cpu_seconds", "wall_seconds", "peak_rss_mib")
    keys = (*costs, "estimated_resolution_ten", "best_resolution", "effective_classes", "empty_classes")
    header = ["Run", "CPU (s)", "Wall (s)", "Memory (MiB)", "Resolution, ten largest (A)", "Best (A)", "Effective classes", "Empty"]
    table = markdown_table(header, [[name, *(one.get(key, "not measured here") for key in keys)] for name, one in figures.items()])
    (options.out / "real_bgal.md").write_text(table + "\n")
    if options.docs:
        picture = REPOSITORY / PICTURE
        picture.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(options.out / "gallery.png", picture)
    publish(table, "benchmarks.md", "real_bgal", options.docs)
    return 0


if __name__ == "__main__":
    run_benchmark(main)
