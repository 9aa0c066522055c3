"""Tests of relion4plugin; the layout mirrors the package."""

import pkgutil
import unittest
from pathlib import Path

import relion4plugin  # noqa: F401  before NumPy is loaded, so that it can ask for fast matrix kernels


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str | None) -> unittest.TestSuite:
    """Offer the tests that Scipion's own runner can execute; the others need pytest."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent / "scipion")]):
        if module.name.startswith("test_"):
            tests.addTests(loader.loadTestsFromName(f"{__name__}.scipion.{module.name}"))
    return tests
