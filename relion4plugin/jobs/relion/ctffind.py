"""Estimate of the CTF of micrographs."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.running import QueueOptions, running

_IO, _FIT, _PROGRAM, _GCTF = "I/O", "Fit", "CTFFIND", "Gctf"


@dataclass(frozen=True)
class CtfFindOptions(QueueOptions):
    """One CTF estimate."""

    input_star_mics: str = parameter(
        "", label="Input micrographs", section=_IO, option="--i", pattern="*.star", help="STAR file of micrographs."
    )
    use_noDW: bool = parameter(
        False, label="Use unweighted micrographs", section=_IO, option="--use_noDW",
        help="Fit on sums without dose weighting, if there are any.",
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
        help="Difference of defocus between both axes that is tolerated.",
    )
    use_ctffind4: bool = parameter(False, label="Use CTFFIND-4.1", section=_PROGRAM, option="--is_ctffind4", help="Fit with CTFFIND.")
    use_given_ps: bool = parameter(
        True, label="Use power spectra of the movies", section=_PROGRAM, option="--use_given_ps",
        help="Fit on what the motion correction summed.",
    )
    fn_ctffind_exe: str = parameter(
        "", label="CTFFIND program", section=_PROGRAM, option="--ctffind_exe", pattern="*", help="Where CTFFIND-4.1 is."
    )
    slow_search: bool = parameter(False, label="Exhaustive search", section=_PROGRAM, help="Slower, and surer for strong astigmatism.")
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
    use_gctf: bool = parameter(
        False, label="Use Gctf", section=_GCTF, option="--use_gctf", help="Fit with Gctf on a graphics card instead."
    )
    fn_gctf_exe: str = parameter("", label="Gctf program", section=_GCTF, option="--gctf_exe", pattern="*", help="Where Gctf is.")
    do_ignore_ctffind_params: bool = parameter(
        True, label="Ignore the search parameters", section=_GCTF, option="--ignore_ctffind_params", help="Let Gctf choose its ranges."
    )
    do_EPA: bool = parameter(False, label="Equi-phase averaging", section=_GCTF, option="--EPA", help="Average along lines of equal phase.")
    other_gctf_args: str = parameter("", label="Other Gctf options", section=_GCTF, help="Handed on to Gctf.")
    gpu_ids: str = running("gpu_ids")
    nr_mpi: int = running("nr_mpi")


def _upgraded(options: Mapping[str, str]) -> Mapping[str, str]:
    """RELION 5 knows CTFFIND only, and has no option to choose it."""
    if "use_ctffind4" in options or "use_gctf" in options:
        return options
    return {**options, "use_ctffind4": "Yes"}


def _program_words(o: OptionText) -> list[str]:
    if o.yes("use_gctf"):
        other = o["other_gctf_args"]
        if any(f"--phase_shift_{end}" in other for end in "LHS"):
            raise UserError("other_gctf_args has a --phase_shift option: use do_phaseshift, phase_min, phase_max and phase_step instead")
        words = ["--use_gctf", *o.option("--gctf_exe", "fn_gctf_exe"), *o.switch("--ignore_ctffind_params", "do_ignore_ctffind_params")]
        words += [*o.switch("--EPA", "do_EPA"), "--gpu", o["gpu_ids"]]
        return words + (["--extra_gctf_options", f" {other} "] if other else [])
    if not o.yes("use_ctffind4"):
        raise UserError("use_ctffind4 and use_gctf are both No: set one of them to Yes")
    words = [*o.option("--ctffind_exe", "fn_ctffind_exe"), *o.option("--ctfWin", "ctf_win"), "--is_ctffind4"]
    return words + ([] if o.yes("slow_search") else ["--fast_search"]) + o.switch("--use_given_ps", "use_given_ps")


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    micrographs = o.require("input_star_mics", "a STAR file of micrographs")
    words = [o.program("relion_run_ctffind"), "--i", micrographs, "--o", place]
    for flag, name in (
        ("--Box", "box"),
        ("--ResMin", "resmin"),
        ("--ResMax", "resmax"),
        ("--dFMin", "dfmin"),
        ("--dFMax", "dfmax"),
        ("--FStep", "dfstep"),
        ("--dAst", "dast"),
    ):
        words += o.option(flag, name)
    words += o.switch("--use_noDW", "use_noDW")
    if o.yes("do_phaseshift"):
        words += ["--do_phaseshift", *(word for n in ("phase_min", "phase_max", "phase_step") for word in o.option(f"--{n}", n))]
    return ([*words, *_program_words(o), *(["--only_do_unfinished"] if is_continue else []), *o.words("other_args")],)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    return {f"{place}micrographs_ctf.star": f"{kinds.MICROGRAPHS}.ctf", f"{place}logfile.pdf": f"{kinds.LOG}.ctffind"}


TYPE = JobType(
    label="relion.ctffind",
    folder="CtfFind",
    title="CTF estimation",
    parameters=CtfFindOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["input_star_mics"], kinds.MICROGRAPHS)),
    outputs=_outputs,
    continues=ContinueKind.INCREMENTAL,
    suffix=lambda o: ".gctf" if o.yes("use_gctf") else ".ctffind4",
    missing="CTF estimation needs RELION's program relion_run_ctffind, and CTFFIND or Gctf, for now",
    upgrade=_upgraded,
    free_text=frozenset({"phase_min", "phase_max", "phase_step"}),
)
