"""Auto-refinement of a map from two independent halves."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, NativeRunner, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.refine3d_parameters import Refine3DParameters
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.helix import FREE_TEXT, HelixOptions, helix_words
from relion4plugin.jobs.relion.native import refinement_runner
from relion4plugin.jobs.relion.refinement import (
    ReadingOptions,
    SymmetryAndPriorOptions,
    compute_words,
    continue_words,
    ctf_words,
    menu_order,
    offset_words,
    reading_words,
)


@dataclass(frozen=True)
class Refine3DOptions(ReadingOptions, HelixOptions, SymmetryAndPriorOptions, Refine3DParameters):
    """One auto-refinement with all options of RELION's job."""


def _start_words(o: OptionText) -> list[str]:
    words = ["--auto_refine", "--split_random_halves", "--i", o.require("fn_img", "a STAR file of particles")]
    reference = o.require("fn_ref", "a reference map")
    if reference != "None":
        words += ["--ref", reference, *([] if o.yes("ref_correct_greyscale") else ["--firstiter_cc"])]
    return words + o.positive("--ini_high", "ini_high")


def _sampling_words(o: OptionText) -> list[str]:
    order, local = menu_order(o, "sampling"), menu_order(o, "auto_local_sampling")
    words = ["--oversampling", "1", "--healpix_order", str(order), "--auto_local_healpix_order", str(local), *offset_words(o)]
    words += [*o.option("--sym", "sym_name"), "--low_resol_join_halves", "40", "--norm", "--scale"]
    return words + helix_words(o, local_ranges=order != local)


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    words = [o.program("relion_refine"), *continue_words(o, is_continue), "--o", f"{place}run"]
    words += [] if is_continue else _start_words(o)
    words += [*reading_words(o), "--pad", "1" if o.yes("do_pad1") else "2"]
    words += ["--auto_ignore_angles", "--auto_resol_angles"] if o.yes("auto_faster") else []
    words += [] if is_continue else ctf_words(o)
    words += o.option("--particle_diameter", "particle_diameter")
    words += [] if is_continue else ["--flatten_solvent", *o.switch("--zero_mask", "do_zero_mask")]
    if o["fn_mask"]:
        words += [*o.option("--solvent_mask", "fn_mask"), *o.switch("--solvent_correct_fsc", "do_solvent_fsc")]
    words += [] if is_continue else _sampling_words(o)
    return ([*words, *o.given("--relax_sym", "relax_sym"), *compute_words(o)],)


def _inputs(o: OptionText) -> Mapping[str, str]:
    reference = "" if o["fn_ref"] == "None" else o["fn_ref"]
    return nodes((o["fn_img"], kinds.PARTICLES), (reference, kinds.MAP), (o["fn_mask"], kinds.MASK))


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    helix = ".helicalsegments" if o.yes("do_helix") else ""
    return {
        f"{place}run_data.star": f"{kinds.PARTICLES}.refine3d{helix}",
        f"{place}run_optimiser.star": f"{kinds.OPTIMISER}.refine3d",
        f"{place}run_half1_class001_unfil.mrc": f"{kinds.HALF_MAP}.refine3d",
        f"{place}run_class001.mrc": f"{kinds.MAP}.relion.refine3d",
    }


def _native(o: OptionText) -> NativeRunner | None:
    only_relion = o.yes("do_helix") or o.yes("do_blush") or o["relax_sym"]
    return None if only_relion else refinement_runner("refine3d", ("run_class001.mrc", "run_optimiser.star"))


TYPE = JobType(
    label="relion.refine3d",
    folder="Refine3D",
    title="3D auto-refinement",
    parameters=Refine3DOptions,
    commands=_commands,
    inputs=_inputs,
    outputs=_outputs,
    continues=ContinueKind.RESUMABLE,
    suffix=lambda o: ".helical" if o.yes("do_helix") else "",
    native=_native,
    missing="helices, relaxed symmetry and Blush need RELION's program relion_refine",
    free_text=FREE_TEXT,
    shares_work=True,
)
