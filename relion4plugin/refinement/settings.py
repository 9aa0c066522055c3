"""What a refinement run is asked to do, in the engine's units (A, degrees, px where named)."""

from dataclasses import dataclass
from enum import Enum


class Algorithm(Enum):
    """How the model is updated."""

    VDAM = "vdam"  # mini-batches, variable-metric gradient descent with adaptive moments
    EM = "em"  # all particles in every iteration, regularised Wiener average


@dataclass(frozen=True)
class RefinementSettings:
    """Settings of a refinement in 2D or 3D; RELION's option is named where it exists.

    All lengths in A, angles in degrees. `psi_step`, `healpix_order`, `offset_range` and `offset_step` describe the *coarse*
    grid (the fine grid of the second pass has half the step), as on RELION's command line.
    """

    dimension: int = 2  # of the references; 3: initial model, 3D classification, auto-refinement

    algorithm: Algorithm = Algorithm.VDAM  # --grad
    n_classes: int = 50  # --K
    n_iterations: int = 200  # --iter
    tau2_fudge: float = 2.0  # --tau2_fudge
    particle_diameter: float = 200.0  # --particle_diameter
    zero_mask: bool = True  # --zero_mask
    flatten_solvent: bool = True  # --flatten_solvent
    center_classes: bool = True  # --center_classes
    ctf_correction: bool = True  # --ctf
    intact_first_peak: bool = False  # --ctf_intact_first_peak
    phase_flipped: bool = False  # --ctf_phase_flipped
    only_flip_phases: bool = False  # --only_flip_phases
    norm_correction: bool = True  # --norm
    scale_correction: bool = True  # --scale
    skip_align: bool = False  # --skip_align
    skip_rotate: bool = False  # --skip_rotate
    psi_step: float = 12.0  # --psi_step
    offset_range: float = 5.0  # --offset_range, px of the particle images
    offset_step: float = 2.0  # --offset_step, px of the particle images
    oversampling: int = 1  # --oversampling
    adaptive_fraction: float = 0.999  # --adaptive_fraction
    max_significants: int = -1  # --maxsig; -1: 5 K (100 K in 3D) for VDAM, no cap for EM
    strict_highres: float = -1.0  # --strict_highres_exp, A
    padding: int = 2  # --pad
    initial_lowpass: float = -1.0  # --ini_high, A; -1: from the 0.07 N shell
    perturbation: float = 0.5  # --perturb
    inactivity_threshold: float = 0.1  # --class_inactivity_threshold
    step_size: float = -1.0  # --grad_stepsize; -1: 0.3
    mu: float = 0.9  # --mu
    ini_fraction: float = 0.3  # --grad_ini_frac
    fin_fraction: float = 0.2  # --grad_fin_frac
    ini_subset: int = -1  # --grad_ini_subset
    fin_subset: int = -1  # --grad_fin_subset
    em_iterations: int = 0  # --grad_em_iters
    write_every: int = 10  # --grad_write_iter (EM writes every iteration)
    fast_subsets: bool = False  # --fast_subsets
    psi_prior_sigma: float = -1.0  # --sigma_psi; used where rlnAnglePsiPrior is given
    reference: str = ""  # --ref, stack of n_classes start images (2D); a map, or a STAR file of maps (3D)
    init_blobs: bool = True  # --no_init_blobs
    robust_noise: bool = True  # strong images do not raise the noise, see `robust_noise` (2D)
    seed: int = 0  # --random_seed
    threads: int = 1  # --j
    gpu: int | None = None  # --gpu
    gpus: tuple[int, ...] = ()  # cards that processes take in turn; empty: all take `gpu`
    memory_limit: float = 1.0  # GiB of working arrays
    size_increment: int = 0  # --incr_size, shells beyond the resolution that images reach; 0: 10, for initial models by the box
    # 3D only
    symmetry: str = "C1"  # --sym
    healpix_order: int = 1  # --healpix_order, coarse
    non_negative: bool = False  # clip densities at 0 after each gradient step
    auto_sampling: bool = False  # --auto_sampling (initial model)
    auto_refine: bool = False  # --auto_refine --split_random_halves, gold standard
    max_healpix_order: int = 9  # coarse order at which automatic sampling stops
    auto_local_healpix_order: int = 4  # --auto_local_healpix_order
    auto_ignore_angles: bool = False  # --auto_ignore_angles
    auto_resol_angles: bool = False  # --auto_resol_angles
    low_resol_join: float = 40.0  # --low_resol_join_halves, A
    solvent_correct_fsc: bool = False  # --solvent_correct_fsc
    solvent_mask: str = ""  # --solvent_mask, map with values 0..1
    sigma_angles: float = -1.0  # --sigma_ang, local searches about the input angles; -1: global
    firstiter_cc: bool = False  # --firstiter_cc, first iteration by cross-correlation

    @property
    def de_novo(self) -> bool:
        """Whether 3D references start from the particles alone."""
        return self.dimension == 3 and not self.reference

    @property
    def noise_is_robust(self) -> bool:
        """Whether strong images do not raise the noise: in 2D, unless switched off."""
        return self.robust_noise and self.dimension == 2
