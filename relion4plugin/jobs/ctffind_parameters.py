"""The parameters of a CTF estimation: names and defaults of RELION's job.star, and our own."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _FIT, _RUNNING = "I/O", "Fit", "Running"


@dataclass(frozen=True)
class CtfFindParameters:
    """One CTF estimation by this program."""

    input_star_mics: str = parameter(
        "", label="Input micrographs", section=_IO, option="--i", pattern="*.star", help="STAR file of micrographs."
    )
    use_noDW: bool = parameter(
        False, label="Use unweighted micrographs", section=_IO, option="--use_noDW",
        help="Fit on sums without dose weighting, if there are any.",
    )
    use_given_ps: bool = parameter(
        True, label="Use power spectra of the movies", section=_IO, option="--use_given_ps",
        help="Fit on what the motion correction summed, if it did.",
    )
    do_phaseshift: bool = parameter(
        False, label="Estimate phase shifts", section=_IO, option="--do_phaseshift", help="For images with a phase plate."
    )
    phase_min: float = parameter(
        0.0, label="Smallest phase shift", section=_IO, unit="deg", option="--phase_min", help="Start of the search."
    )
    phase_max: float = parameter(
        180.0, label="Largest phase shift", section=_IO, unit="deg", option="--phase_max", help="End of the search."
    )
    phase_step: float = parameter(
        10.0, label="Phase shift step", section=_IO, unit="deg", option="--phase_step", help="Step of the search."
    )
    dast: float = parameter(
        100.0, label="Astigmatism", section=_IO, unit="A", option="--dAst",
        help="Difference of defocus between both axes that is tolerated; 0 or less tolerates any.",
    )
    slow_search: bool = parameter(False, label="Exhaustive search", section=_FIT, help="Slower, and surer for strong astigmatism.")
    box: int = parameter(512, label="FFT box size", section=_FIT, unit="px", option="--Box", minimum=32, help="Size of the power spectrum.")
    resmin: float = parameter(
        30.0, label="Minimum resolution", section=_FIT, unit="A", option="--ResMin", help="Coarsest detail that is fitted."
    )
    resmax: float = parameter(
        5.0, label="Maximum resolution", section=_FIT, unit="A", option="--ResMax", help="Finest detail that is fitted."
    )
    dfmin: float = parameter(5000.0, label="Minimum defocus", section=_FIT, unit="A", option="--dFMin", help="Start of the search.")
    dfmax: float = parameter(50000.0, label="Maximum defocus", section=_FIT, unit="A", option="--dFMax", help="End of the search.")
    dfstep: float = parameter(500.0, label="Defocus step", section=_FIT, unit="A", option="--FStep", help="Step of the search.")
    ctf_win: int = parameter(
        -1, label="Window size", section=_FIT, unit="px", option="--ctfWin",
        help="Fit on a central square only; -1 takes the whole micrograph.",
    )
    nr_mpi: int = parameter(
        1, label="Number of processes", section=_RUNNING, short=("--j",), minimum=1, help="Micrographs treated at the same time."
    )
