"""Stands in for the checkout's tests/ folder, so that Scipion finds its tests under relion4plugin.tests."""

import pkgutil
import unittest
from pathlib import Path

__path__[:] = [str(Path(__file__).resolve().parents[2] / "tests")]


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str | None) -> unittest.TestSuite:
    """Offer the tests that Scipion's own runner can execute; the others need pytest."""
    folder = Path(__path__[0]) / "scipion"
    for module in pkgutil.iter_modules([str(folder)]):
        if module.name.startswith("test_"):
            tests.addTests(loader.loadTestsFromName(f"{__name__}.scipion.{module.name}"))
    return tests
