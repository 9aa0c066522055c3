"""What a tight mask costs the class ranker: classes of the validation part as if each mask reached just beyond the particle.

    python benchmarks/ranker_tight.py --set set

The images of a job are enlarged about their middle until its good classes reach `REACH`, and what then lies beyond the mask is cut
off; features stay as they are. Printed are errors of the default rule.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
from ranker_eval import judge, judged, mean
from ranker_jobs import KEPT

from relion4plugin.ranker.augment import moved_images
from relion4plugin.ranker.calibrated import CalibrationSettings
from relion4plugin.ranker.evaluation import good_classes, particle_numbers
from relion4plugin.ranker.samples import Samples, read_samples
from relion4plugin.ranker.shapes import polar
from relion4plugin.ranker.standing import job_rows
from relion4plugin.ranker.weights import Ranker, load_weights

REACH = 27.0  # px of 32 from the middle to the edge
EDGE = 0.25  # of the maximum on circles: a particle reaches that far
LARGEST_FACTOR = 2.0


def reaches(images: np.ndarray) -> np.ndarray:
    """Distance from the middle to which each image is brighter than `EDGE` of its maximum, px, float64 (n,)."""
    rings, radii = polar(images)
    brightest = rings.max(axis=2)
    bright = brightest >= EDGE * np.maximum(brightest.max(axis=1, keepdims=True), 1e-6)
    return np.asarray((bright * radii).max(axis=1))


def in_tight_masks(samples: Samples) -> Samples:
    """The samples as seen in tight masks; without good classes all classes of a job count."""
    good, particles, reach = good_classes(samples), particle_numbers(samples), reaches(samples.images)
    transforms = np.zeros((len(samples), 2, 3))
    for rows in job_rows(samples):
        counted = good[rows] if good[rows].any() else np.ones(len(rows), bool)
        factor = np.clip(REACH / np.average(reach[rows], weights=particles[rows] * counted), 1, LARGEST_FACTOR)
        transforms[rows, 0, 0] = transforms[rows, 1, 1] = 1 / factor
    axis = np.arange(samples.images.shape[-1]) - 31.5
    inside = axis[:, None] ** 2 + axis**2 <= 31**2
    images = moved_images(torch.from_numpy(samples.images)[:, None], transforms)[:, 0].numpy() * inside
    return dataclasses.replace(samples, images=images.astype(np.float32))


def line(name: str, ranker: Ranker, samples: Samples) -> str:
    """Errors on a set as one row of a table."""
    known = judged(ranker, samples)
    jobs = judge(known, CalibrationSettings())
    return f"| {name} | {known.error:.4f} | {mean(jobs, 'calibrated_false_positive'):.3f} | {mean(jobs, 'calibrated_false_negative'):.3f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=KEPT, help="folder of set_validation.npz")
    parser.add_argument("--weights", type=Path, help="weights with a job stage (default: those of the package)")
    options = parser.parse_args()
    ranker = load_weights(options.weights)
    samples = read_samples(options.set / "set_validation.npz")
    print("| Masks | MSE | FPR | FNR |\n|---|---|---|---|")
    print("\n".join(line(name, ranker, part) for name, part in (("as they are", samples), ("tight", in_tight_masks(samples)))))


if __name__ == "__main__":
    main()
