"""Make particle stacks with known truth, from the built-in protein, a structure or a map.

For example:

  relion4plugin simulate particles --o Simulated --n 2000 --box 64 --angpix 3.5 --junk 0.2 --seed 1
  relion4plugin simulate particles --o Simulated --source 1abc.cif --snr 0.05
"""

import argparse
import json

from relion4plugin.cli.progress import terminal_progress
from relion4plugin.cli.simulate_command import add_common
from relion4plugin.jobs import simulate_particles
from relion4plugin.jobs.parameters import add_arguments, from_arguments


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_common(parser, "stacks, STAR file and truth")
    add_arguments(parser, simulate_particles.SimulateParticlesParameters)


def main(args: argparse.Namespace) -> int:
    """Simulate."""
    parameters = from_arguments(simulate_particles.SimulateParticlesParameters, args)
    result = simulate_particles.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite)
    if args.json:
        files = {"particles": str(result.particles_star), "truth": str(result.truth_star), "map": str(result.map_path)}
        print(json.dumps({"command": "simulate particles", **files, "diameter": result.diameter, "n": parameters.n_particles}))
    else:
        print(f"particles: {result.particles_star}\ntruth: {result.truth_star}\nparticle diameter: {result.diameter:.0f} A")
    return 0
