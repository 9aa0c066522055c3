"""The parameters of a local-resolution estimate: names and defaults of RELION's job.star, and our own."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _LOCAL = "I/O", "Local resolution"


@dataclass(frozen=True)
class LocalResParameters:
    """One local-resolution estimate; lengths in A, B-factor in A^2."""

    fn_in: str = parameter(
        "", label="One of the two unfiltered half maps", section=_IO, option="--i", pattern="*half1*_unfil.mrc",
        help="run_half1_class001_unfil.mrc of a refinement; the other half is found by its name.",
    )
    fn_in2: str = parameter(
        "", label="The other half map", section=_IO, option="--i2", pattern="*.mrc", advanced=True, relion=False,
        help="Only needed where its name does not follow from the first by half2 for half1.",
    )
    fn_mask: str = parameter(
        "", label="User-provided solvent mask", section=_IO, option="--mask", pattern="*.mrc",
        help="Only spheres that touch it are looked at; saves time and leaves out the solvent.",
    )
    angpix: float = parameter(
        -1.0, label="Calibrated pixel size", section=_IO, unit="A", option="--angpix",
        help="Final pixel size of the maps; -1 takes it from the header.",
    )
    adhoc_bfac: float = parameter(
        -100.0, label="User-provided B-factor", section=_LOCAL, unit="A^2", option="--adhoc_bfac",
        help="Sharpening of the filtered map, for example that of the post-processing; negative values sharpen.",
    )
    fn_mtf: str = parameter(
        "", label="MTF of the detector", section=_LOCAL, option="--mtf", pattern="*.star",
        help="Curve by which the filtered map is divided.",
    )
    mtf_angpix: float = parameter(
        -1.0, label="Original detector pixel size", section=_LOCAL, unit="A", option="--mtf_angpix", relion=False,
        help="Pixel size of the micrographs before any down-scaling, to which the MTF refers; -1 takes that of the maps.",
    )
    locres_sampling: float = parameter(
        25.0, label="Sampling", section=_LOCAL, unit="A", option="--locres_sampling", minimum=1.0, advanced=True, relion=False,
        help="Distance of neighbouring spheres; finer follows changes more closely and is noisier and slower.",
    )
    locres_maskrad: float = parameter(
        -1.0, label="Sphere radius", section=_LOCAL, unit="A", option="--locres_maskrad", advanced=True, relion=False,
        help="Radius of a sphere; -1 takes half the sampling.",
    )
    locres_edgwidth: float = parameter(
        -1.0, label="Sphere edge", section=_LOCAL, unit="A", option="--locres_edgwidth", advanced=True, relion=False,
        help="Width of a sphere's soft edge; -1 takes the sampling.",
    )
    locres_randomize_at: float = parameter(
        25.0, label="Randomise phases at", section=_LOCAL,
        unit="A", option="--locres_randomize_at", minimum=1.0, advanced=True, relion=False,
        help="Resolution beyond which phases are made random to measure what the spheres correlate by themselves.",
    )
    locres_minres: float = parameter(
        50.0, label="Lowest resolution", section=_LOCAL, unit="A", option="--locres_minres", minimum=1.0, advanced=True, relion=False,
        help="Resolution written where the halves do not agree at all.",
    )
    locres_threshold: float = parameter(
        0.143, label="FSC threshold", section=_LOCAL, minimum=0.01, maximum=0.99, advanced=True, relion=False,
        help="Correlation at which the local resolution is read; 0.143 as RELION, 0.5 is stricter and less noisy.",
    )
    random_seed: int = parameter(
        0, label="Random seed", section=_LOCAL, option="--random_seed", minimum=0, advanced=True, relion=False,
        help="The same seed gives the same random phases.",
    )
    memory_limit: float = parameter(
        0.5, label="Memory limit", section=_LOCAL, unit="GiB", minimum=0.05, advanced=True, relion=False,
        help="Memory for the spheres that are computed together, beside the maps themselves.",
    )
