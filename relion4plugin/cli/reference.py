"""Write the reference pages of all options from their declarations.

For example:

  relion4plugin reference --o docs/reference
  relion4plugin reference --o docs/reference --check      (exit code 1 when a page is stale)
"""

import argparse
import sys
from pathlib import Path

from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.jobs.alignsymmetry_parameters import AlignSymmetryParameters
from relion4plugin.jobs.autopick_parameters import PickParameters, RefPickParameters
from relion4plugin.jobs.class2d_parameters import Class2DParameters
from relion4plugin.jobs.class3d_parameters import Class3DParameters
from relion4plugin.jobs.ctffind_parameters import CtfFindParameters
from relion4plugin.jobs.extract_parameters import ExtractParameters
from relion4plugin.jobs.import_parameters import ImportParameters
from relion4plugin.jobs.initialmodel_parameters import InitialModelParameters
from relion4plugin.jobs.localres_parameters import LocalResParameters
from relion4plugin.jobs.maskcreate_parameters import MaskCreateParameters
from relion4plugin.jobs.motioncorr_parameters import MotionCorrParameters
from relion4plugin.jobs.parameters import fields_of, reference_page
from relion4plugin.jobs.postprocess_parameters import PostprocessParameters
from relion4plugin.jobs.rank_parameters import RankParameters
from relion4plugin.jobs.refine3d_parameters import Refine3DParameters
from relion4plugin.jobs.selectvalues_parameters import SelectValuesParameters
from relion4plugin.jobs.simulate_movies_parameters import SimulateMoviesParameters
from relion4plugin.jobs.simulate_particles import SimulateParticlesParameters
from relion4plugin.jobs.trainranker_parameters import TrainRankerParameters
from relion4plugin.schemes.it.options import ItOptions

_NAMES = (
    "The first name of each option is that of RELION's job.star, so that a job.star is a "
    "parameter set (`--job_star FILE`); the others are those of RELION's program."
)

# page -> command, declaration, introduction
_PAGES: dict[str, tuple[str, type, str]] = {
    "import.md": ("import", ImportParameters, f"Movies, micrographs, coordinates and other files listed for later jobs. {_NAMES}"),
    "motioncorr.md": ("motioncorr", MotionCorrParameters, f"Correction of motion in movies. {_NAMES}"),
    "ctf.md": ("ctf", CtfFindParameters, f"Defocus and astigmatism of micrographs. {_NAMES}"),
    "select.md": ("select", SelectValuesParameters, f"Micrographs or particles selected by values, subsets or distance. {_NAMES}"),
    "pick.md": ("pick", PickParameters, f"Particles found by a Laplacian of Gaussian or by Topaz. {_NAMES}"),
    "pick_references.md": ("pick", RefPickParameters, f"Particles found by references (`pick --ref`). {_NAMES}"),
    "extract.md": ("extract", ExtractParameters, f"Particles cut out of micrographs. {_NAMES}"),
    "class2d.md": (
        "class2d",
        Class2DParameters,
        f"2D classification by VDAM or EM. {_NAMES}",
    ),
    "rank.md": ("rank", RankParameters, f"Scores of 2D classes, and the selection of the good ones. {_NAMES}"),
    "train_ranker.md": ("train-ranker", TrainRankerParameters, "Training of the network that scores 2D classes."),
    "initialmodel.md": ("initialmodel", InitialModelParameters, f"Initial 3D model from particles alone, by VDAM. {_NAMES}"),
    "class3d.md": ("class3d", Class3DParameters, f"3D classification by EM or VDAM. {_NAMES}"),
    "refine3d.md": ("refine3d", Refine3DParameters, f"Auto-refinement of a 3D map from two independent halves. {_NAMES}"),
    "mask.md": ("mask", MaskCreateParameters, f"Soft solvent mask from a map. {_NAMES}"),
    "postprocess.md": ("postprocess", PostprocessParameters, f"Resolution and sharpened map from two half maps. {_NAMES}"),
    "localres.md": ("localres", LocalResParameters, f"Local resolution and locally filtered map. {_NAMES}"),
    "symmetry.md": ("symmetry", AlignSymmetryParameters, "A map brought to its symmetry axes, or its point group found."),
    "it.md": ("it", ItOptions, "On-the-fly processing of a session: the schemes prep and proc filled in and started."),
    "simulate_particles.md": (
        "simulate particles",
        SimulateParticlesParameters,
        "Particle images with known truth, from the built-in protein, a structure or a map.",
    ),
    "simulate_movies.md": ("simulate movies", SimulateMoviesParameters, "Movies of a session with known truth."),
}


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--o", metavar="DIR", type=Path, default=Path("docs/reference"), help="directory of the pages")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")


def pages() -> dict[str, str]:
    """Return all pages: file name -> text."""
    made = {name: _page(command, cls, introduction) for name, (command, cls, introduction) in _PAGES.items()}
    return {**made, "commands.md": _commands_page()}


def _page(command: str, cls: type, introduction: str) -> str:
    return reference_page(cls, f"relion4plugin {command}", introduction)


def _commands_page() -> str:
    from relion4plugin.cli.main import COMMANDS, command_parser

    lines = ["# Commands", "", "Exit codes: 0 done, 1 failed, 2 a mistake in input or options (one line says which), 130 interrupted.", ""]
    for name, (_, text) in COMMANDS.items():
        parser, module = command_parser(name)
        example = [line.strip() for line in str(module.__doc__).splitlines() if line.startswith("  ")]
        lines += [f"## {name}", "", text[0].upper() + text[1:] + ".", "", *(f"    {line}" for line in example), ""]
        page = next((page for page, (command, _, _) in _PAGES.items() if command == name), None)
        declared = {f"--{f}" for f in _declared(name)}
        lines += _option_rows(parser, declared)
        lines += ["", f"Its other options: [{page}]({page})." if page else "", ""] if page else [""]
    return "\n".join(lines).rstrip() + "\n"


def _declared(command: str) -> set[str]:
    classes = [cls for name, cls, _ in _PAGES.values() if name == command]
    return {field.name for field in fields_of(classes[0])} if classes else set()


def _option_rows(parser: argparse.ArgumentParser, declared: set[str]) -> list[str]:
    rows = ["| option | meaning |", "|---|---|"]
    for action in parser._actions:
        names = action.option_strings or [action.metavar if isinstance(action.metavar, str) else action.dest]
        scaled = action.dest.endswith("_scaled") or f"--{action.dest}" in declared
        if not scaled and action.dest != "help" and action.help != argparse.SUPPRESS:
            rows.append(f"| {'<br>'.join(f'`{n}`' for n in names)} | {action.help} |")
    return rows


def main(args: argparse.Namespace) -> int:
    """Write or compare the pages."""
    stale = [name for name, text in pages().items() if not (args.o / name).is_file() or (args.o / name).read_text(encoding="utf-8") != text]
    if args.check:
        if stale:
            print(f"stale: {', '.join(stale)}; run 'relion4plugin reference --o {args.o}'", file=sys.stderr)
        return 1 if stale else 0
    args.o.mkdir(parents=True, exist_ok=True)
    for name in stale:
        atomic_write_text(args.o / name, pages()[name])
    print(f"{len(stale)} page(s) written to {args.o}")
    return 0
