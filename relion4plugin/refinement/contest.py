"""Several random starts of an initial model, of which the one that explains the particles best goes on.

A gradient descent from random blobs ends in one of several basins; which one is decided in its first, cheap iterations at low
resolution. Starts are compared by the likelihood of the same particles under the same noise and grid, halved, run on, and compared
again. The RELION-4.0 paper (section 4.5) reports 4 to 10 successes of 10 single runs.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from relion4plugin.files.particles import ParticleSet
from relion4plugin.progress import Progress
from relion4plugin.refinement import initialise, resolution, schedules
from relion4plugin.refinement.engine import Refinement
from relion4plugin.refinement.particles import make_batch
from relion4plugin.refinement.plans import make_plan
from relion4plugin.refinement.references import forward
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.settings import RefinementSettings

ROUNDS = (0.5, 1.0)  # shares of the first phase of the schedule after which starts are compared
MOST_JUDGES = 600  # particles that compare them
SEED_STEP = 1009  # between the starts of a run: runs with neighbouring seeds share none
JUDGE_ORDER = 2  # HEALPix order of the comparison
JUDGE_SHELL = 0.125  # of the box: resolution of the comparison; images reach beyond it by the size increment
JUDGE_SIGMA_OFFSET = 10.0  # A


@dataclass
class Start:
    """One start: where it stands, what it logged, and how likely the particles are under its maps."""

    seed: int
    state: RunState
    records: list[dict[str, Any]] = field(default_factory=list)
    log_likelihood: float = float("-inf")  # per particle


def hold_contest(
    settings: RefinementSettings, particles: ParticleSet, out_dir: Path, n_starts: int, progress: Progress
) -> tuple[Start, list[Start]]:
    """Run random starts side by side and drop the worse half after each round.

    Returns
    -------
    winner : Start
        At the end of the first phase.
    starts : list of Start
        All, best first; those dropped stand where they were dropped.
    """
    # the last iteration is left to the winner: it visits all particles and writes the files
    phase = schedules.Phases.of(settings).initial
    ends = [min(max(1, int(share * phase)), settings.n_iterations - 1) for share in ROUNDS]
    first = Refinement(settings, particles, out_dir, progress)
    try:
        seeds = [settings.seed + SEED_STEP * number for number in range(n_starts)]
        starts = [Start(seed, first.begin(seed)) for seed in seeds]
        alive, dropped = list(starts), list[Start]()
        for number, end in enumerate(ends):
            for start in alive:
                progress.start(f"start {seeds.index(start.seed) + 1} of {n_starts}, to iteration {end}", end - start.state.iteration)
                while start.state.iteration < end:
                    start.records.append(first.step(start.state, start.seed))
                    progress.advance(1)
                progress.finish()
            _judge(first, alive)
            alive.sort(key=lambda start: -start.log_likelihood)
            keep = 1 if number == len(ends) - 1 else (len(alive) + 1) // 2
            dropped = alive[keep:] + dropped
            alive = alive[:keep]
        return alive[0], alive + dropped
    finally:
        first.close()


def _judge(run: Refinement, starts: list[Start]) -> None:
    """Set each start's log-likelihood per particle: same particles, noise, grid and image size for all."""
    inputs = run.inputs
    n = len(inputs.particles.table)
    rows = np.sort(np.random.default_rng((run.settings.seed, 0, 11)).permutation(n)[:MOST_JUDGES])
    sample = initialise.sample_rows(inputs.images.optics.index, run.settings.seed)
    noise = initialise.noise_spectra(inputs.source, inputs.images, sample, robust=False)
    shell = max(resolution.MIN_SHELL, int(JUDGE_SHELL * inputs.grid.box))
    still = replace(inputs, settings=replace(run.settings, perturbation=0.0))
    for start in starts:
        model = replace(
            start.state.model, sigma2_noise=noise, sigma_offset=JUDGE_SIGMA_OFFSET, resolution_shell=shell, perturbation=0.0,
            pdf_direction=np.zeros((0, 0)),
        )  # fmt: skip
        assert start.state.sampling is not None
        sampling = replace(
            start.state.sampling, healpix_order=JUDGE_ORDER, offset_range=run.settings.offset_range, offset_step=run.settings.offset_step
        )
        poses = inputs.particles.start_poses(volume=True)
        state = replace(start.state, models=[model], sampling=sampling, poses=poses)
        plan = make_plan(still, state, 1)
        transforms = forward(model.references, inputs.grid, corrected=True, current_size=model.current_size)
        batch = make_batch(rows, inputs.particles, model, poses, plan, still.settings)
        sums = run.expectation.run(batch, transforms, plan, model, lambda count: None).particles
        start.log_likelihood = float(sums.log_likelihood.mean())
