"""The particles of a run in RELION's order, with groups, pseudo half-sets and priors."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.files.particles import ParticleSet
from relion4plugin.imaging.fourier import round_half_away
from relion4plugin.refinement.nuisance import scale_pixels
from relion4plugin.refinement.search import Batch, ParticleSums, SearchPlan
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model, Poses
from relion4plugin.refinement.volume_search import VolumeSearchPlan

PRIOR_CUT = 3.0  # sigmas beyond which an angle is not searched
FLAT = np.zeros((0, 0), np.float32)  # stands for a prior that is the same everywhere

Plan = SearchPlan | VolumeSearchPlan


@dataclass(frozen=True)
class SortedParticles:
    """Particles sorted by micrograph; every second one is in the second pseudo half-set."""

    table: ParticleSet
    group: np.ndarray  # int32 (n,), scale group
    group_names: tuple[str, ...]
    half: np.ndarray  # int8 (n,)
    offset_prior: np.ndarray  # float64 (n, 2), A
    psi_prior: np.ndarray | None  # float64 (n,), deg

    @property
    def n_groups(self) -> int:
        """Number of scale groups."""
        return len(self.group_names)

    @classmethod
    def of(cls, particles: ParticleSet, settings: RefinementSettings) -> "SortedParticles":
        """Sort a particle set and collect its groups and priors."""
        n = len(particles)
        names = particles.table.get("rlnMicrographName")
        if names is not None:
            particles = particles.select(np.argsort(names.astype(str).to_numpy(), kind="stable"))
        label = next((c for c in ("rlnGroupName", "rlnMicrographName") if c in particles.table), None)
        if label is None:
            group, found = np.zeros(n, np.int32), np.array(["all"])
        else:
            found, group = np.unique(particles.table[label].astype(str).to_numpy(), return_inverse=True)
        prior = np.stack([particles.column(f"rlnOrigin{axis}PriorAngst", 0.0) for axis in "XY"], axis=1)
        psi = None
        if settings.psi_prior_sigma > 0 and "rlnAnglePsiPrior" in particles.table:
            psi = particles.column("rlnAnglePsiPrior")
        half = (np.arange(n) % 2).astype(np.int8)
        return cls(particles, group.astype(np.int32), tuple(str(name) for name in found), half, prior, psi)

    def start_poses(self, volume: bool = False) -> Poses:
        """Read the input angles, offsets and classes; zero where there are none. `volume`: keep rot and tilt."""
        offsets = np.stack([self.table.column(f"rlnOrigin{axis}Angst", 0.0) for axis in "XY"], axis=1)
        angles = np.stack([self.table.column(f"rlnAngle{name}", 0.0) for name in ("Rot", "Tilt", "Psi")], axis=1)
        if not volume:
            angles[:, :2] = 0.0
        poses = Poses.start(angles, offsets, self.table.column("rlnClassNumber", 0.0))
        if "rlnNormCorrection" in self.table.table:
            poses.norm[:] = self.table.column("rlnNormCorrection")
            poses.n_significant[:] = self.table.column("rlnNrOfSignificantSamples", 1.0)
        return poses


def make_batch(
    rows: np.ndarray, particles: SortedParticles, model: Model, poses: Poses, plan: Plan, settings: RefinementSettings
) -> Batch:
    """Collect what is known of the particles `rows` before the search."""
    pixel_size = particles.table.pixel_size
    old = round_half_away(poses.offset[rows] / pixel_size)
    centre = old * pixel_size - particles.offset_prior[rows]
    shifts = plan.shifts.coarse * pixel_size
    distance = np.sum((centre[:, None] + shifts) ** 2, axis=2)
    prior = -distance / (2 * model.sigma_offset**2)
    prior -= np.log(np.exp(prior - prior.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)) + prior.max(axis=1, keepdims=True)
    # a particle that was never visited has no norm yet: scaling it by the average alone would make it fainter than the others
    visited = settings.norm_correction & (poses.n_significant[rows] > 0)
    factor = np.where(visited, model.avg_norm / poses.norm[rows], 1.0)
    return Batch(
        rows,
        factor.astype(np.float32),
        model.scale[particles.group[rows]],
        old,
        prior.astype(np.float32),
        centre,
        _psi_prior(particles, rows, plan, settings.psi_prior_sigma) if isinstance(plan, SearchPlan) else FLAT,
        particles.half[rows],
        poses.angles[rows],
        poses.offset[rows] / pixel_size - old,
    )


def _psi_prior(particles: SortedParticles, rows: np.ndarray, plan: SearchPlan, sigma: float) -> np.ndarray:
    """Return log priors (n, R) of the coarse angles, cut at three sigmas; (0, 0) where no prior is given."""
    if particles.psi_prior is None:
        return FLAT
    difference = np.abs((plan.sampling.psi_coarse - particles.psi_prior[rows][:, None] + 180) % 360 - 180)
    nearest = difference <= difference.min(axis=1, keepdims=True)
    prior = np.where((difference <= PRIOR_CUT * sigma) | nearest, -0.5 * (difference / sigma) ** 2, -np.inf)
    return prior.astype(np.float32)


def scale_counts(model: Model, plan: Plan) -> np.ndarray:
    """Pixels of each class that enter the scale estimate, int64 (K,)."""
    return scale_pixels(model.data_vs_prior, plan.pixels, plan.count)


def wrap(angles: np.ndarray) -> np.ndarray:
    """Bring angles in degrees to [-180, 180)."""
    return (angles + 180.0) % 360.0 - 180.0


def store_poses(poses: Poses, batch: Batch, sums: ParticleSums, plan: Plan, settings: RefinementSettings, pixel_size: float) -> None:
    """Write the best sample of each particle of the batch to the poses, in place; what is not searched stays."""
    rows = batch.rows
    if not (settings.skip_align or settings.skip_rotate):
        poses.angles[rows] = wrap(sums.best_angles)
    if not settings.skip_align:
        poses.offset[rows] = (batch.old_offset + plan.shifts.fine[sums.best_shift]) * pixel_size
    poses.class_number[rows] = sums.best_class + 1
    poses.log_likelihood[rows] = sums.log_likelihood
    poses.pmax[rows] = sums.pmax
    poses.n_significant[rows] = sums.n_significant
