"""Local resolution."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, JobType, nodes
from relion4plugin.jobs.localres_parameters import LocalResParameters
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import restart_runner
from relion4plugin.jobs.relion.postprocess import half_map
from relion4plugin.jobs.relion.running import QueueOptions, running

_RESMAP = "ResMap"
_NOT_RESMAP = "ResMap (do_resmap_locres) needs its windows and is not run from here: set do_relion_locres to Yes instead"


@dataclass(frozen=True)
class LocalResOptions(QueueOptions, LocalResParameters):
    """One local resolution with all options of RELION's job."""

    do_relion_locres: bool = parameter(False, label="Use RELION's method", section=_RESMAP, help="Yes unless ResMap is wanted.")
    do_resmap_locres: bool = parameter(True, label="Use ResMap", section=_RESMAP, help="A program of its own, with windows.")
    fn_resmap: str = parameter("", label="ResMap program", section=_RESMAP, pattern="*", help="Where ResMap is.")
    pval: float = parameter(0.05, label="P-value", section=_RESMAP, help="For ResMap.")
    minres: float = parameter(0.0, label="Highest resolution", section=_RESMAP, unit="A", help="For ResMap; 0 chooses it.")
    maxres: float = parameter(0.0, label="Lowest resolution", section=_RESMAP, unit="A", help="For ResMap; 0 chooses it.")
    stepres: float = parameter(1.0, label="Resolution step", section=_RESMAP, unit="A", help="For ResMap.")
    nr_mpi: int = running("nr_mpi")


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    if o.yes("do_resmap_locres") == o.yes("do_relion_locres"):
        raise UserError("exactly one of do_relion_locres and do_resmap_locres must be Yes")
    if o.yes("do_resmap_locres"):
        raise UserError(_NOT_RESMAP)
    words = [o.program("relion_postprocess"), "--locres", "--i", half_map(o), "--o", f"{place}relion"]
    words += [*o.option("--angpix", "angpix"), *o.option("--adhoc_bfac", "adhoc_bfac")]
    return ([*words, *o.given("--mtf", "fn_mtf"), *o.given("--mask", "fn_mask"), *o.words("other_args")],)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    found = {f"{place}histogram.pdf": f"{kinds.LOG}.localres"} if o["fn_mask"] else {}
    return {
        **found,
        f"{place}relion_locres_filtered.mrc": f"{kinds.MAP}.relion.localresfiltered",
        f"{place}relion_locres.mrc": "Image3D.mrc.relion.localresmap",
    }


TYPE = JobType(
    label="relion.localres",
    folder="LocalRes",
    title="Local resolution",
    parameters=LocalResOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["fn_in"], kinds.HALF_MAP), (o["fn_mask"], kinds.MASK)),
    outputs=_outputs,
    suffix=lambda o: ".resmap" if o.yes("do_resmap_locres") else ".own",
    native=lambda o: None if o.yes("do_resmap_locres") else restart_runner("localres"),
    missing=_NOT_RESMAP,
)
