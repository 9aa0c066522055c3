"""Fused CPU kernels of the expectation step (numba), one particle at a time, free of the interpreter lock.

Each has a plain counterpart in `expectation_arrays`; the tests compare the two. Complex arrays are split into real and
imaginary parts so that the inner loops vectorise. All loops over pixels run over a prefix of the shell-sorted list;
pixel 0 (the mean) never enters a likelihood.
"""

from relion4plugin.refinement.kernels.images import (
    gather_pixels,
    gather_slices,
    power_per_shell,
    shift_and_mask,
    shifted_rows,
)
from relion4plugin.refinement.kernels.scores import (
    add_angle_prior,
    combine_half_turns,
    retain_children,
    score_children,
    select_significant,
    significance_threshold,
)
from relion4plugin.refinement.kernels.sums import (
    back_project_class,
    mean_phases,
    nuisance_sums,
    sort_by_template,
)

__all__ = [
    "add_angle_prior",
    "back_project_class",
    "combine_half_turns",
    "gather_pixels",
    "gather_slices",
    "mean_phases",
    "nuisance_sums",
    "power_per_shell",
    "retain_children",
    "score_children",
    "select_significant",
    "shift_and_mask",
    "shifted_rows",
    "significance_threshold",
    "sort_by_template",
]
