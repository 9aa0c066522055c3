"""Charts of a 2D classification run: what each one shows and from which record."""

from relion4plugin.web.curves import LIKELIHOOD, Curve

CURVES = (
    Curve("Resolution", "Å", (("resolution", "resolution"),)),
    Curve("Image size used", "px", (("current_size", "current size"),), integers=True),
    Curve("Step size", "", (("stepsize", "step size"),)),
    Curve("Regularisation T", "", (("tau2_fudge", "T"),)),
    Curve("Particles per iteration", "", (("subset_size", "particles"),), integers=True),
    Curve(LIKELIHOOD, "per particle", (("log_likelihood", "log-likelihood"),), from_zero=False),
    Curve("Confidence of the assignments", "mean largest probability", (("ave_pmax", "Pmax"),)),
    Curve("Spread of the offsets", "Å", (("sigma_offset", "sigma"),)),
    Curve("Changes of orientation", "degrees", (("changed_orientations", "orientation"),)),
    Curve("Changes of offset", "Å", (("changed_offsets", "offset"),)),
    Curve("Changes of class", "share of particles", (("changed_classes", "class"),)),
    Curve("Time per iteration", "seconds", (("seconds", "wall clock"), ("cpu_seconds", "CPU"))),
)
