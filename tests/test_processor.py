"""Which kernels of the numerical library are asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relion4plugin import processor
from relion4plugin.processor import VARIABLE, choose_kernels, fast_kernels

ABLE = "fpu sse2 avx2 fma avx512f"
ROOT = Path(__file__).resolve().parents[1]


def cpuinfo(vendor: str, family: int, model: int, flags: str) -> str:
    one = f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: X\nflags\t\t: {flags}\n"
    return f"{one}\n{one.replace(flags, 'fpu')}"


def chosen(environment: dict[str, str]) -> dict[str, str]:
    choose_kernels(environment)
    return environment


@pytest.mark.parametrize(
    ("vendor", "family", "model", "flags", "expected"),
    [
        ("GenuineIntel", 6, 207, ABLE, "Haswell"),  # Emerald Rapids
        ("GenuineIntel", 19, 1, ABLE, "Haswell"),
        ("GenuineIntel", 6, 151, "fpu sse2 avx2 fma", "Haswell"),
        ("GenuineIntel", 6, 207, "fpu sse2 avx2", None),
        ("GenuineIntel", 6, 143, ABLE, None),  # Sapphire Rapids, which is known
        ("AuthenticAMD", 26, 2, ABLE, "Haswell"),  # Zen 5
        ("AuthenticAMD", 25, 97, ABLE, None),  # Zen 4, which is known
        ("HygonGenuine", 24, 1, ABLE, None),
    ],
)
def test_kernels_follow_from_what_the_processor_can_do(vendor, family, model, flags, expected):
    assert fast_kernels(cpuinfo(vendor, family, model, flags)) == expected


def test_an_unreadable_description_is_no_choice(tmp_path, monkeypatch):
    assert fast_kernels("") is None and fast_kernels("Processor : ARMv8\n") is None
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "absent")
    assert processor.processor_description() == "" and chosen({}) == {}


def test_the_choice_of_the_user_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(cpuinfo("GenuineIntel", 6, 207, ABLE))
    assert chosen({VARIABLE: "Zen"}) == {VARIABLE: "Zen"}
    assert chosen({}) == {VARIABLE: "Haswell"}
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert chosen({}) == {}


def test_the_choice_is_made_before_numpy_is_loaded():
    """In a fresh process: the package alone loads no NumPy, so that its choice counts."""
    code = "import sys, relion4plugin.cli.main; print('numpy' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
