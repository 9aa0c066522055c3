"""Refinement of CTF parameters and aberrations against a map."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.running import QueueOptions, running

_IO, _FIT = "I/O", "Fit"
# Entry of the menu -> its letter in --fit_mode.
_SCOPES = {"No": "f", "Per-micrograph": "m", "Per-particle": "p"}
_FITTED = ("do_phase", "do_defocus", "do_astig", "do_bfactor")


def _scope(label: str, text: str) -> str:
    declared: str = parameter("No", label=label, section=_FIT, choices=tuple(_SCOPES), help=text)
    return declared


@dataclass(frozen=True)
class CtfRefineOptions(QueueOptions):
    """One CTF refinement."""

    fn_data: str = parameter("", label="Particles", section=_IO, option="--i", pattern="*.star", help="Of a 3D refinement.")
    fn_post: str = parameter(
        "", label="Post-processing", section=_IO, option="--f", pattern="postprocess.star", help="Of the same refinement."
    )
    minres: float = parameter(30.0, label="Minimum resolution", section=_FIT, unit="A", help="Coarsest detail that is fitted.")
    do_aniso_mag: bool = parameter(
        False, label="Anisotropic magnification", section=_FIT, option="--fit_aniso", help="Fit only this; nothing else at the same time."
    )
    do_ctf: bool = parameter(True, label="CTF parameters", section=_FIT, option="--fit_defocus", help="Fit those chosen below.")
    do_defocus: str = _scope("Defocus", "Fit the defocus.")
    do_astig: str = _scope("Astigmatism", "Fit the astigmatism.")
    do_bfactor: str = _scope("B-factor", "Fit the damping of the CTF.")
    do_phase: str = _scope("Phase shift", "Fit the phase shift of a phase plate.")
    do_tilt: bool = parameter(False, label="Beam tilt", section=_FIT, option="--fit_beamtilt", help="Fit it for each optics group.")
    do_trefoil: bool = parameter(False, label="Trefoil too", section=_FIT, help="With beam tilt: aberrations of third order.")
    do_4thorder: bool = parameter(False, label="Fourth order", section=_FIT, option="--fit_aberr", help="Symmetric aberrations.")
    nr_mpi: int = running("nr_mpi")
    nr_threads: int = running("nr_threads")


def _letter(o: OptionText, name: str) -> str:
    if o[name] not in _SCOPES:
        raise UserError(f"{name} is '{o[name]}' but must be one of {', '.join(_SCOPES)}")
    return _SCOPES[o[name]]


def _fit_words(o: OptionText) -> list[str]:
    if o.yes("do_aniso_mag"):
        return ["--fit_aniso", *o.option("--kmin_mag", "minres")]
    words = []
    if o.yes("do_ctf"):
        phase, defocus, astigmatism, damping = (_letter(o, name) for name in _FITTED)
        if phase == defocus == astigmatism == damping == "f":
            raise UserError(f"do_ctf is Yes, but {', '.join(_FITTED)} are all No: choose what to fit, or set do_ctf to No")
        # The fourth letter is the spherical aberration, which is never fitted.
        words = ["--fit_defocus", *o.option("--kmin_defocus", "minres"), "--fit_mode", f"{phase}{defocus}{astigmatism}f{damping}"]
    if o.yes("do_tilt"):
        words += ["--fit_beamtilt", *o.option("--kmin_tilt", "minres"), *(["--odd_aberr_max_n", "3"] if o.yes("do_trefoil") else [])]
    words += o.switch("--fit_aberr", "do_4thorder")
    if not words:
        raise UserError("nothing to fit: set do_aniso_mag, do_ctf, do_tilt or do_4thorder to Yes")
    return words


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    words = [o.program("relion_ctf_refine"), "--i", o.require("fn_data", "particles of a 3D refinement")]
    words += ["--f", o.require("fn_post", "the STAR file of a post-processing"), "--o", place, *_fit_words(o)]
    words += ["--only_do_unfinished"] if is_continue else []
    return ([*words, *o.option("--j", "nr_threads"), *o.words("other_args")],)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    kind = "anisomagrefine" if o.yes("do_aniso_mag") else "ctfrefine"
    return {f"{place}logfile.pdf": f"{kinds.LOG}.ctfrefine", f"{place}particles_ctf_refine.star": f"{kinds.PARTICLES}.{kind}"}


TYPE = JobType(
    label="relion.ctfrefine",
    folder="CtfRefine",
    title="CTF refinement",
    parameters=CtfRefineOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["fn_data"], kinds.PARTICLES), (o["fn_post"], kinds.POSTPROCESS)),
    outputs=_outputs,
    continues=ContinueKind.INCREMENTAL,
    suffix=lambda o: ".anisomag" if o.yes("do_aniso_mag") else "",
    missing="CTF refinement needs RELION's program relion_ctf_refine for now",
)
