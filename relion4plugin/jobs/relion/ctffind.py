"""Estimate of the CTF of micrographs."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.ctffind_parameters import CtfFindParameters
from relion4plugin.jobs.job_type import Commands, ContinueKind, Execution, JobType, NativeRunner, nodes
from relion4plugin.jobs.option_text import OptionText, expanded
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import incremental_runner
from relion4plugin.jobs.relion.running import QueueOptions, running

_PROGRAM, _GCTF = "CTFFIND", "Gctf"


@dataclass(frozen=True)
class CtfFindOptions(QueueOptions, CtfFindParameters):
    """One CTF estimate with all options of RELION's job."""

    use_ctffind4: bool = parameter(False, label="Use CTFFIND-4.1", section=_PROGRAM, option="--is_ctffind4", help="Fit with CTFFIND.")
    fn_ctffind_exe: str = parameter(
        "", label="CTFFIND program", section=_PROGRAM, option="--ctffind_exe", pattern="*", help="Where CTFFIND-4.1 is."
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


def _native(o: OptionText) -> NativeRunner | None:
    """Return our runner, unless another program is asked for by name and is there."""
    if o.yes("use_gctf"):
        return None
    runner, program = incremental_runner("ctffind"), o["fn_ctffind_exe"]
    if not o.yes("use_ctffind4") or not program:
        return runner
    lacking = next((name for name in (*expanded([program]), o.program("relion_run_ctffind")) if not shutil.which(name)), None)
    if lacking is None:
        return None

    def noted(execution: Execution) -> tuple[str, ...]:
        return (f"{lacking} is not installed here: the CTF was estimated without CTFFIND", *runner(execution))

    return noted


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
    native=_native,
    missing="Gctf (use_gctf) and a CTFFIND that is named (fn_ctffind_exe) are run by RELION's program relion_run_ctffind; "
    "empty fn_ctffind_exe for an estimate by this program",
    upgrade=_upgraded,
    free_text=frozenset({"phase_min", "phase_max", "phase_step"}),
)
