"""Checks of what a job needs: its inputs, its programs, and options that exclude each other."""

import re
from collections.abc import Callable, Iterator, Mapping

from relion4plugin.errors import UserError
from relion4plugin.jobs.programs import OWN
from relion4plugin.schemes.findings import Finding, Severity
from relion4plugin.schemes.labels import base_label
from relion4plugin.schemes.lint_options import OptionsOfJob
from relion4plugin.schemes.model import Scheme
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.substitution import MARK
from relion4plugin.schemes.variables import find_value, number_prefix

# Of each group at least one option must be given.
_INPUTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "relion.import": (("fn_in_raw", "fn_in_other"),),
    "relion.motioncorr": (("input_star_mics",),),
    "relion.ctffind": (("input_star_mics",),),
    "relion.select": (("fn_model", "fn_mic", "fn_data"),),
    "relion.autopick": (("fn_input_autopick",),),
    "relion.extract": (("star_mics",), ("coords_suffix", "fndata_reextract")),
    "relion.class2d": (("fn_img", "fn_cont"),),
    "relion.class3d": (("fn_img", "fn_cont"),),
    "relion.initialmodel": (("fn_img", "fn_cont"),),
    "relion.refine3d": (("fn_img", "fn_cont"), ("fn_ref", "fn_cont")),
    "relion.maskcreate": (("fn_in",),),
    "relion.postprocess": (("fn_in",),),
    "relion.external": (("fn_exe",),),
}
# Option with a program, and the option that must be Yes for it to be used (empty: always).
_PROGRAMS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "relion.ctffind": (("fn_ctffind_exe", "use_ctffind4"), ("fn_gctf_exe", "use_gctf")),
    "relion.autopick": (("fn_topaz_exec", "do_topaz"), ("fn_topaz_exe", "do_topaz")),
    "relion.external": (("fn_exe", ""),),
}
_ITERATION = re.compile(r"Schemes/[^/]+/(?P<job>[^/]+)/run_it(?P<number>\d+)_")
_GPU_IDS = re.compile(r"[\d,: ]*")


class _Options:
    """Options of a template with variables filled in; empty where an option is not given.

    A variable that an operator sets stays as ``$$name``: its value is known only when the job runs.
    """

    def __init__(self, options: OptionsOfJob, scheme: Scheme) -> None:
        self.options, self.scheme = options, scheme
        self.set_later = {operator.output for operator in scheme.operators.values()}

    def text(self, name: str) -> str:
        value = self.options.values.get(name, "")
        name = value.removeprefix(MARK)
        known = find_value(self.scheme, name) if name != value and name not in self.set_later else None
        if known is None:
            return value
        return ("Yes" if known else "No") if isinstance(known, bool) else str(known)

    def open(self, name: str) -> bool:
        """Tell whether the value is known only when the job runs."""
        return self.text(name).startswith(MARK)

    def yes(self, name: str) -> bool:
        return self.text(name) == "Yes"

    def number(self, name: str, default: float) -> float:
        value = number_prefix(self.text(name)) if self.text(name) else None
        return default if value is None else value


def job_findings(
    options: OptionsOfJob, scheme: Scheme, project: Project, find_program: Callable[[str], str | None]
) -> Iterator[Finding]:
    """Check one template as far as the job type is known.

    Yields
    ------
    Finding
        Without order.
    """
    try:
        base = base_label(options.type_label)
    except UserError as error:
        yield options.finding(Severity.ERROR, "", str(error))
        return
    given = _Options(options, scheme)
    for group in _INPUTS.get(base, ()):
        if not any(given.text(name) for name in group):
            text = f"the job has no input: give {' or '.join(group)}"
            yield options.finding(Severity.ERROR, next((name for name in group if name in options.lines), group[0]), text)
    for option, condition in _PROGRAMS.get(base, ()):
        if not condition or given.yes(condition):
            yield from _program_findings(options, option, given.text(option), project, find_program)
    if given.yes("do_queue"):
        yield from _program_findings(options, "qsub", given.text("qsub"), project, find_program)
    if given.yes("use_gpu") and not given.open("gpu_ids") and not _GPU_IDS.fullmatch(given.text("gpu_ids")):
        yield options.finding(Severity.ERROR, "gpu_ids", f"gpu_ids is '{given.text('gpu_ids')}'; expected numbers with , and :")
    for option, text in _clashes(base, given):
        yield options.finding(Severity.ERROR, option, text)
    gradient = base == "relion.initialmodel" or (base == "relion.class2d" and given.text("do_grad") != "No" and not given.yes("do_em"))
    if gradient and given.number("nr_mpi", 1) > 1:
        text = "RELION's VDAM runs as one process; set nr_mpi to 1 and use nr_threads where RELION's program is to run the job"
        yield options.finding(Severity.WARNING, "nr_mpi", text)
    yield from _iteration_findings(options, scheme, project)


def _program_findings(
    options: OptionsOfJob, option: str, program: str, project: Project, find_program: Callable[[str], str | None]
) -> Iterator[Finding]:
    command = program.split(" ", 1)[0]
    # A variable of the shell is known only where the job runs.
    if command in ("", OWN) or "$" in command or find_program(command) or ("/" in command and (project.root / command).is_file()):
        return
    text = f"{option}: the program {command} is not on this machine; install it or correct its path"
    yield options.finding(Severity.WARNING, option, text)


def _clashes(base: str, given: _Options) -> Iterator[tuple[str, str]]:
    """Find options with which no command can be built."""
    if base == "relion.autopick":
        methods = ("do_log", "do_topaz", "do_refs")
        chosen = sum(given.yes(name) for name in methods)
        if chosen != 1 and not given.yes("continue_manual") and not any(given.open(name) for name in methods):
            yield "do_log", f"exactly one of do_log, do_topaz and do_refs must be Yes, not {chosen}"
        if given.yes("do_log") and given.yes("use_gpu"):
            yield "use_gpu", "picking with LoG does not use a GPU; set use_gpu to No"
        if given.yes("do_topaz") and given.yes("do_topaz_train") == given.yes("do_topaz_pick"):
            yield "do_topaz", "exactly one of do_topaz_train and do_topaz_pick must be Yes"
    if base == "relion.class2d" and given.yes("do_em") and given.yes("do_grad"):
        yield "do_em", "exactly one of do_em and do_grad must be Yes"
    if base == "relion.select" and given.yes("do_class_ranker"):
        if not given.text("fn_model"):
            yield "do_class_ranker", "the class ranker needs an optimiser file in fn_model"
        for name in ("do_recenter", "do_regroup"):
            if given.yes(name):
                yield name, f"the class ranker does not go with {name}; set it to No"
    if base == "relion.motioncorr" and given.yes("do_float16") and given.text("do_save_ps") == "No":
        yield "do_float16", "16-bit micrographs need power spectra; set do_save_ps to Yes or do_float16 to No"


def _iteration_findings(options: OptionsOfJob, scheme: Scheme, project: Project) -> Iterator[Finding]:
    """Find files of an iteration that the job which makes them will not reach."""
    for option, text in options.values.items():
        match = _ITERATION.search(text)
        if match is None or match["job"] not in scheme.jobs or not text.startswith(scheme.name):
            continue
        template = project.template(scheme.name, match["job"])
        if not template.exists():
            continue
        producer = _Options(OptionsOfJob.read(template), scheme)
        name = next((n for n in ("nr_iter_em" if producer.yes("do_em") else "nr_iter_grad", "nr_iter") if producer.text(n)), "")
        if name and producer.number(name, 0) != int(match["number"]):
            last = f"{name} is {producer.text(name)}; use run_it{int(producer.number(name, 0)):03d}"
            message = f"{option} takes iteration {match['number']} of {match['job']}, whose {last}"
            yield options.finding(Severity.WARNING, option, message)
