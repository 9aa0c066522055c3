"""Draw a scheme: operators, jobs and forks, where it stands, and how often each node was executed.

Without --svg the graph is printed as text. For example:

  relion4plugin scheme graph proc --svg proc.svg
"""

import argparse
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.schemes.model import UNDEFINED, Scheme
from relion4plugin.schemes.project import open_project
from relion4plugin.schemes.status import NodeStatus, project_status


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("name", metavar="NAME", help="the scheme, for example prep")
    parser.add_argument("--project", metavar="DIR", type=Path, default=Path(), help="project directory; this one by default")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="write a drawing")


def main(args: argparse.Namespace) -> int:
    """Write or print the graph."""
    status = project_status(open_project(args.project.resolve()))
    one = status.scheme(args.name.strip("/").removeprefix("Schemes/"))
    if one.scheme is None:
        raise UserError(one.error)
    states = {node.name: node for node in one.nodes}
    if args.svg is None:
        print("\n".join(graph_lines(one.scheme, states)))
        return 0
    from relion4plugin.web.scheme_svg import svg_of_scheme

    atomic_write_text(args.svg, svg_of_scheme(one.scheme, states))
    print(args.svg)
    return 0


def graph_lines(scheme: Scheme, states: dict[str, NodeStatus]) -> list[str]:
    """Return the edges as text; ``>`` marks the current node."""
    here = scheme.current_node if scheme.current_node != UNDEFINED else scheme.start_node
    lines = []
    for edge in scheme.edges:
        visits = states[edge.source].visits if edge.source in states else 0
        target = f"{edge.target_if_true} if {edge.boolean}, else {edge.target}" if edge.is_fork else edge.target
        lines.append(
            f"{'>' if edge.source == here else ' '} {edge.source} -> {target}" + (f"  (executed {visits} times)" if visits else "")
        )
    return lines
