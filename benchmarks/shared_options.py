"""Options that several benchmarks have, declared once."""

import argparse
from collections.abc import Iterable
from pathlib import Path

_MEANING: dict[str, tuple[type, str]] = {
    "n": (int, "particles"),
    "box": (int, "box in px"),
    "pixel": (float, "pixel size in A"),
    "k": (int, "classes"),
    "seed": (int, "random seed"),
    "snr": (float, "signal variance over noise variance"),
    "junk": (float, "share of junk images"),
    "tau2_fudge": (float, "regularisation T"),
    "iter": (int, "mini-batches"),
    "em-iterations": (int, "EM iterations"),
    "mini-batches": (int, "VDAM mini-batches"),
    "gpu": (int, "device"),
    "memory": (float, "GiB of working arrays"),
    "threads": (int, "threads of each program or job"),
}


def benchmark_parser(text: str | None, out: str) -> argparse.ArgumentParser:
    """Return a parser with `--out`, the folder for what `out` says; `text` is the docstring of the benchmark."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help=out)
    return parser


def add_shared(parser: argparse.ArgumentParser, **defaults: float) -> None:
    """Add options of the table above with these defaults; ``em_iterations`` means ``--em-iterations``."""
    for name, default in defaults.items():
        option = name if name in _MEANING else name.replace("_", "-")
        kind, meaning = _MEANING[option]
        parser.add_argument(f"--{option}", type=kind, default=kind(default), help=f"{meaning} (%(default)s)")


def add_structures(parser: argparse.ArgumentParser) -> None:
    """Add what the simulated particles are made of."""
    parser.add_argument("--structures", nargs="+", default=["pseudo"], help="pseudo, PDB/mmCIF files or maps (%(default)s)")


def add_sets(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Add the choice of data sets; all if it is not given."""
    known = list(names)
    parser.add_argument("--sets", nargs="+", default=known, choices=known, help="data sets (all)")


def add_docs(parser: argparse.ArgumentParser, page: str = "benchmarks.md", what: str = "the table") -> None:
    """Add the wish to put the outcome into a page of the documentation."""
    parser.add_argument("--docs", action="store_true", help=f"put {what} into docs/{page}")
