"""The parameters of a post-processing: names and defaults of RELION's job.star, and our own."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _SHARPEN, _FILTER, _FSC = "I/O", "Sharpen", "Filter", "FSC"


@dataclass(frozen=True)
class PostprocessParameters:
    """One post-processing; resolutions and lengths in A, B-factors in A^2."""

    fn_in: str = parameter(
        "", label="One of the two unfiltered half maps", section=_IO, option="--i", pattern="*half1*_unfil.mrc",
        help="run_half1_class001_unfil.mrc of a refinement; the other half is found by its name.",
    )
    fn_in2: str = parameter(
        "", label="The other half map", section=_IO, option="--i2", pattern="*.mrc", advanced=True, relion=False,
        help="Only needed where its name does not follow from the first by half2 for half1.",
    )
    fn_mask: str = parameter(
        "", label="Solvent mask", section=_IO, option="--mask", pattern="*.mrc",
        help="Soft mask, 1 in the protein and 0 in the solvent; without it the unmasked FSC is quoted.",
    )
    angpix: float = parameter(
        -1.0, label="Calibrated pixel size", section=_IO, unit="A", option="--angpix",
        help="Final pixel size of the maps; -1 takes it from the header.",
    )
    do_auto_bfac: bool = parameter(
        True, label="Estimate B-factor automatically", section=_SHARPEN, option="--auto_bfac",
        help="Fit a line to the Guinier plot; needs a resolution well beyond the lowest one of the fit.",
    )
    autob_lowres: float = parameter(
        10.0, label="Lowest resolution for auto-B fit", section=_SHARPEN, unit="A", option="--autob_lowres", minimum=1.0,
        help="Shells beyond this resolution are fitted; lower ones hold the shape of the particle, not its fall-off.",
    )
    autob_highres: float = parameter(
        0.0, label="Highest resolution for auto-B fit", section=_SHARPEN,
        unit="A", option="--autob_highres", minimum=0.0, advanced=True, relion=False,
        help="Where the fit ends; 0 goes as far as the weighted map has amplitudes.",
    )
    do_adhoc_bfac: bool = parameter(
        False, label="Use your own B-factor", section=_SHARPEN,
        help="Use the given B-factor instead of an estimate.",
    )
    adhoc_bfac: float = parameter(
        -1000.0, label="User-provided B-factor", section=_SHARPEN, unit="A^2", option="--adhoc_bfac",
        help="Negative values sharpen; too negative ones turn noise into features.",
    )
    fn_mtf: str = parameter(
        "", label="MTF of the detector", section=_SHARPEN, option="--mtf", pattern="*.star",
        help="Curve by which the map is divided; only where the refinement has not used it already.",
    )
    mtf_angpix: float = parameter(
        1.0, label="Original detector pixel size", section=_SHARPEN, unit="A", option="--mtf_angpix",
        help="Pixel size of the micrographs before any down-scaling, to which the MTF refers.",
    )
    do_skip_fsc_weighting: bool = parameter(
        False, label="Skip FSC-weighting", section=_FILTER, option="--skip_fsc_weighting",
        help="Filter at a fixed resolution instead of weighting every shell by the FSC.",
    )
    low_pass: float = parameter(
        5.0, label="Ad-hoc low-pass filter", section=_FILTER, unit="A", option="--low_pass",
        help="Resolution of the filter when FSC-weighting is skipped; finer ones than the quoted resolution show noise.",
    )
    randomize_at_fsc: float = parameter(
        0.8, label="Randomise phases at FSC", section=_FSC,
        option="--randomize_at_fsc", minimum=0.0, maximum=1.0, advanced=True, relion=False,
        help="Phases are made random from the shell on where the unmasked FSC falls below this.",
    )
    force_mask: bool = parameter(
        False, label="Always use the mask", section=_FSC, option="--force_mask", advanced=True, relion=False,
        help="Quote the masked FSC even where the unmasked one reaches further.",
    )
    random_seed: int = parameter(
        0, label="Random seed", section=_FSC, option="--random_seed", minimum=0, advanced=True, relion=False,
        help="The same seed gives the same random phases.",
    )
