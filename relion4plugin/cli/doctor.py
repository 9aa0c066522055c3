"""Check this installation: versions, GPU, what Scipion discovers, other programs, write permission; and presets of a facility.

For example:

  relion4plugin doctor
  relion4plugin doctor --json
  relion4plugin doctor --preset /facility/krios1_k3.toml
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import relion4plugin
from relion4plugin.processor import VARIABLE, fast_kernels, processor_description

GOOD, ABSENT, BAD = "ok", "absent", "error"  # absent: optional and not there
_REQUIRED = (
    *("numpy", "scipy", "mrcfile", "pandas", "starfile", "numba", "gemmi", "pillow", "tqdm", "threadpoolctl"),
    *("lxml", "tifffile", "imagecodecs", "flask", "waitress"),
)
_OLD_KERNELS = {"Generic", "Prescott", "Core2", "Penryn", "Dunnington", "Atom", "Nehalem", "Barcelona"}
_RELION = ("relion_refine", "relion_star_handler", "relion_image_handler", "relion_reconstruct")


@dataclass(frozen=True)
class Finding:
    """One checked thing: its state, what was found and what to do."""

    name: str
    state: str
    text: str


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON on standard output")
    parser.add_argument("--dir", metavar="DIR", type=Path, default=Path("."), help="directory to check for writing (default .)")
    parser.add_argument("--preset", metavar="FILE", type=Path, nargs="+", default=[], help="presets of `mdcatch` to check")


def _packages() -> list[Finding]:
    findings = []
    for name in _REQUIRED:
        try:
            findings.append(Finding(name, GOOD, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding(name, BAD, f"not installed: pip install {name}"))
    return findings


def _extras() -> list[Finding]:
    """Packages that only some jobs need."""
    needs = {"torch": ("ranker", "selection of 2D classes by score, also in proc"), "mpi4py": ("mpi", "several processes by mpirun")}
    findings = []
    for name, (extra, what) in needs.items():
        try:
            findings.append(Finding(name, GOOD, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding(name, ABSENT, f"not installed; needed for {what} (pip install 'scipion-em-relion4plugin[{extra}]')"))
    return findings


def _matrix_products() -> list[Finding]:
    """Which kernels OpenBLAS chose; other libraries choose well."""
    import numpy  # noqa: F401  (loads the library that is asked about)
    from threadpoolctl import threadpool_info

    found = {str(one.get("architecture")): str(one.get("version")) for one in threadpool_info() if one.get("internal_api") == "openblas"}
    better = fast_kernels(processor_description())
    slow = sorted(_OLD_KERNELS.intersection(found)) if better else []
    if slow:
        text = f"kernels for {slow[0]}, several times too slow for this processor: export {VARIABLE}={better} before Python starts"
        return [Finding("openblas", BAD, text)]
    return [Finding("openblas", GOOD, f"{version}, kernels for {name}") for name, version in found.items()]


def _gpu() -> Finding:
    if importlib.util.find_spec("cupy") is None:
        return Finding("gpu", ABSENT, "cupy is not installed: runs on the processor (pip install 'cupy-cuda12x<14' for NVIDIA cards)")
    from relion4plugin.arrays import device_namespace
    from relion4plugin.errors import UserError

    try:
        cupy = device_namespace(0)
    except UserError as error:
        return Finding("gpu", BAD, str(error))
    runtime = cupy.cuda.runtime
    names = [runtime.getDeviceProperties(i)["name"].decode() for i in range(runtime.getDeviceCount())]
    return Finding("gpu", GOOD, f"cupy {cupy.__version__}: {', '.join(f'{i} {name}' for i, name in enumerate(names))}")


def _scipion() -> list[Finding]:
    if importlib.util.find_spec("pwem") is None:
        return [Finding("scipion", ABSENT, "not installed; not needed here (pip install 'scipion-em-relion4plugin[scipion]')")]
    if importlib.util.find_spec("tkinter") is None:
        return [Finding("scipion", BAD, "this Python has no tkinter, which every Scipion protocol needs: apt-get install python3-tk")]
    words = [sys.executable, "-m", "relion4plugin.cli.scipion_probe"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([_package_parent(), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
    answer = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env=environment)
    lines = answer.stdout.strip().splitlines()
    if answer.returncode != 0 or not lines:
        reason = (answer.stderr or answer.stdout).strip().splitlines()
        return [Finding("scipion", BAD, f"Scipion does not start: {reason[-1] if reason else f'exit code {answer.returncode}'}")]
    found = json.loads(lines[-1])
    findings = [Finding("scipion", GOOD, f"scipion-em {importlib.metadata.version('scipion-em')}")]
    findings += [
        Finding("scipion protocols", GOOD if found["protocols"] else BAD, ", ".join(found["protocols"]) or "none found"),
        Finding("scipion templates", GOOD if found["templates"] else ABSENT, ", ".join(found["templates"]) or "none found"),
        Finding("scipion tests", GOOD if found["tests"] else ABSENT, ", ".join(found["tests"]) or "none found"),
    ]
    return findings + [Finding("scipion discovery", BAD, text) for text in found["errors"]]


def _package_parent() -> str:
    return str(Path(relion4plugin.__file__).resolve().parents[1])


def _relion() -> Finding:
    program = shutil.which("relion_refine")
    if program is None:
        return Finding("relion", ABSENT, "no RELION programs on PATH; none are needed")
    present = [name for name in _RELION if shutil.which(name)]
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    version = re.search(r"version\D*(\d[\w.]*)", answer.stdout + answer.stderr, re.IGNORECASE)
    return Finding("relion", GOOD, f"{version[1] if version else 'unknown version'} at {program} ({', '.join(present)})")


def _preset(path: Path) -> list[Finding]:
    from relion4plugin.acquisition.preset_check import check_preset
    from relion4plugin.schemes.findings import Severity

    found = check_preset(path)
    if not found:
        return [Finding("preset", GOOD, f"{path}: nothing to complain of")]
    return [Finding("preset", BAD if one.severity is Severity.ERROR else GOOD, str(one)) for one in found]


def _directory(path: Path) -> Finding:
    if not path.is_dir():
        return Finding("directory", BAD, f"{path.absolute()} does not exist")
    if not os.access(path, os.W_OK):
        return Finding("directory", BAD, f"{path.absolute()} cannot be written")
    return Finding("directory", GOOD, f"{path.absolute()} can be written, {shutil.disk_usage(path).free / 2**30:.1f} GiB free")


def examine(directory: Path, presets: Sequence[Path] = ()) -> list[Finding]:
    """Check everything and return the findings."""
    return [
        Finding("relion4plugin", GOOD, f"{relion4plugin.__version__} in {Path(relion4plugin.__file__).parent}"),
        Finding("python", GOOD, f"{platform.python_version()} at {sys.executable}, {os.cpu_count()} cores"),
        *_packages(),
        *_extras(),
        *_matrix_products(),
        _gpu(),
        *_scipion(),
        _relion(),
        _directory(directory),
        *(finding for path in presets for finding in _preset(path)),
    ]


def main(args: argparse.Namespace) -> int:
    """Print the findings; exit code 1 if something needed is wrong."""
    findings = examine(args.dir, args.preset)
    if args.json:
        print(json.dumps({"command": "doctor", "findings": [asdict(f) for f in findings]}))
    else:
        width = max(len(f.name) for f in findings)
        for finding in findings:
            print(f"{finding.state:<7} {finding.name:<{width}}  {finding.text}")
    return 1 if any(f.state == BAD for f in findings) else 0
