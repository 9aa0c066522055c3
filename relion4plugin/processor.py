"""Fast matrix products on processors that the numerical library does not know yet.

OpenBLAS, which NumPy and SciPy bring along, picks its kernels by the model of the processor. A release that is older than the
processor (0.3.23 of NumPy 1.26, which Scipion needs, and Intel's Emerald Rapids; AMD's Zen 5) takes those of a Pentium 4 and is
several times slower. What the processor can do, it says itself. The choice counts only if it is made before NumPy is loaded, so
it is made on import of the package and inherited by every process started from there, also on other nodes of a cluster: so only
kernels are asked for that every processor since 2013 can run.
"""

import os
import platform
from collections.abc import MutableMapping
from pathlib import Path

VARIABLE = "OPENBLAS_CORETYPE"
_CPUINFO = Path("/proc/cpuinfo")
_FIRST_PROCESSOR = 16384  # bytes that hold the first of them
_KERNELS, _NEEDED = "Haswell", {"avx2", "fma"}
_BETTER = {85, 102, 106, 108, 125, 126, 140, 141, 143, 167}  # Intel's models with AVX-512 that OpenBLAS 0.3.23 knows and serves better
_UNKNOWN_AMD = 26  # AMD's families before are known


def fast_kernels(cpuinfo: str) -> str | None:
    """Return OpenBLAS's name of fast kernels for a processor; None where its own choice is as good or better.

    Parameters
    ----------
    cpuinfo
        Content of /proc/cpuinfo.
    """
    first = cpuinfo.strip().split("\n\n", 1)[0]
    found = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    family, model = (int(found[name]) if found.get(name, "").isdecimal() else 0 for name in ("cpu family", "model"))
    new_intel = found.get("vendor_id") == "GenuineIntel" and (family, model) not in {(6, known) for known in _BETTER}
    new_amd = found.get("vendor_id") == "AuthenticAMD" and family >= _UNKNOWN_AMD
    able = set(found.get("flags", "").split()) >= _NEEDED
    return _KERNELS if able and (new_intel or new_amd) else None


def processor_description() -> str:
    """Return the description of the first processor of this machine; empty where there is none as Linux gives it."""
    try:
        with _CPUINFO.open(encoding="ascii", errors="replace") as stream:
            return stream.read(_FIRST_PROCESSOR)
    except OSError:
        return ""


def choose_kernels(environment: MutableMapping[str, str] = os.environ) -> None:
    """Ask for fast kernels, unless the user has chosen, or this is no Linux machine with an x86 processor."""
    if VARIABLE in environment or platform.machine() != "x86_64":
        return
    kernels = fast_kernels(processor_description())
    if kernels is not None:
        environment[VARIABLE] = kernels
