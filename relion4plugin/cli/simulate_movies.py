"""Make movies with known truth: motion, dose, camera faults, defocus, particles and contaminants.

For example:

  relion4plugin simulate movies --o Simulated --n 10 --width 1024 --height 1024 --n_frames 16 --angpix 1.5
  relion4plugin simulate movies --o Session --layout epu --interval 10 --half_written Yes --source 1abc.cif
"""

import argparse
import json

from relion4plugin.cli.progress import terminal_progress
from relion4plugin.cli.simulate_command import add_common
from relion4plugin.jobs import simulate_movies
from relion4plugin.jobs.parameters import add_arguments, from_arguments
from relion4plugin.jobs.simulate_movies_parameters import SimulateMoviesParameters


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_common(parser, "movies, gain reference and truth")
    add_arguments(parser, SimulateMoviesParameters)


def main(args: argparse.Namespace) -> int:
    """Simulate."""
    parameters = from_arguments(SimulateMoviesParameters, args)
    result = simulate_movies.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite)
    files = {
        "movies": str(result.movies_star),
        "truth": str(result.truth_star),
        "gain": str(result.gain),
        "defects": str(result.defects),
    }
    if args.json:
        print(json.dumps({"command": "simulate movies", **files, "diameter": result.diameter, "n": len(result.movies)}))
    else:
        print("".join(f"{name}: {path}\n" for name, path in files.items()) + f"particle diameter: {result.diameter:.0f} A")
    return 0
