"""3D classification."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.class3d_parameters import Class3DParameters
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, NativeRunner, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.helix import FREE_TEXT, HelixOptions, helix_words
from relion4plugin.jobs.relion.native import refinement_runner
from relion4plugin.jobs.relion.refinement import (
    CoarserSampling,
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
class Class3DOptions(ReadingOptions, HelixOptions, SymmetryAndPriorOptions, CoarserSampling, Class3DParameters):
    """One 3D classification with all options of RELION's job."""


def _sampling_words(o: OptionText) -> list[str]:
    if not o.yes("dont_skip_align"):
        return ["--skip_align"]
    words = ["--oversampling", "1", "--healpix_order", str(menu_order(o, "sampling"))]
    if o.yes("do_local_ang_searches"):
        words += [*o.times("--sigma_ang", "sigma_angles", 1 / 3), *o.given("--relax_sym", "relax_sym")]
    return [*words, *offset_words(o), *o.switch("--allow_coarser_sampling", "allow_coarser")]


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    words = [o.program("relion_refine"), *continue_words(o, is_continue), "--o", f"{place}run"]
    if not is_continue:
        words += ["--i", o.require("fn_img", "a STAR file of particles"), "--ref", o.require("fn_ref", "a start map")]
        words += [] if o.yes("ref_correct_greyscale") else ["--firstiter_cc"]
        words += o.positive("--ini_high", "ini_high")
    words += [*reading_words(o), "--pad", "1" if o.yes("do_pad1") else "2", *([] if is_continue else ctf_words(o))]
    words += [*o.option("--iter", "nr_iter"), *o.option("--tau2_fudge", "tau_fudge"), *o.option("--particle_diameter", "particle_diameter")]
    if not is_continue:
        words += [*o.switch("--fast_subsets", "do_fast_subsets"), *o.option("--K", "nr_classes"), "--flatten_solvent"]
        words += [*o.switch("--zero_mask", "do_zero_mask"), *o.positive("--strict_highres_exp", "highres_limit")]
    words += [*o.given("--solvent_mask", "fn_mask"), *_sampling_words(o)]
    if not is_continue:
        words += [*o.option("--sym", "sym_name"), "--norm", "--scale"]
        words += helix_words(o, local_ranges=o.yes("dont_skip_align") and not o.yes("do_local_ang_searches"))
    if o.yes("use_gpu") and not o.yes("dont_skip_align"):
        raise UserError("use_gpu is Yes, but RELION has no GPU version without alignment: set use_gpu or dont_skip_align otherwise")
    return (words + compute_words(o),)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    root = f"{place}run_it{o.whole('nr_iter'):03d}"
    helix = ".helicalsegments" if o.yes("do_helix") else ""
    maps = {f"{root}_class{k + 1:03d}.mrc": f"{kinds.MAP}.relion.class3d" for k in range(o.whole("nr_classes"))}
    return {f"{root}_data.star": f"{kinds.PARTICLES}.class3d{helix}", f"{root}_optimiser.star": f"{kinds.OPTIMISER}.class3d", **maps}


def _native(o: OptionText) -> NativeRunner | None:
    only_relion = o.yes("do_helix") or o.yes("allow_coarser") or o.yes("do_blush") or o["relax_sym"]
    return None if only_relion else refinement_runner("class3d", ())


TYPE = JobType(
    label="relion.class3d",
    folder="Class3D",
    title="3D classification",
    parameters=Class3DOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["fn_img"], kinds.PARTICLES), (o["fn_ref"], kinds.MAP), (o["fn_mask"], kinds.MASK)),
    outputs=_outputs,
    continues=ContinueKind.RESUMABLE,
    suffix=lambda o: ".helical" if o.yes("do_helix") else "",
    native=_native,
    missing="helices, relaxed symmetry, coarser sampling and Blush need RELION's program relion_refine",
    free_text=FREE_TEXT,
    shares_work=True,
)
