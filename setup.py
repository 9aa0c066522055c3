"""Packaging: protocols/, templates/ and tests/ lie at the top and are installed inside relion4plugin."""

import re
from pathlib import Path

from setuptools import find_packages, setup

NAME = "relion4plugin"
ROOT = Path(__file__).resolve().parent
MAPPED = ("protocols", "templates", "tests")


def version() -> str:
    """Read the version without importing the package."""
    match = re.search(r'^__version__ = "([^"]+)"', (ROOT / NAME / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise RuntimeError(f"no __version__ in {NAME}/__init__.py")
    return match[1]


def below(folder: str) -> list[str]:
    """Name the packages that a top-level folder becomes."""
    return [f"{NAME}.{folder}"] + [f"{NAME}.{folder}.{p}" for p in find_packages(folder)]


packages = [NAME] + [f"{NAME}.{p}" for p in find_packages(NAME, exclude=("tests", "tests.*"))]
for mapped in MAPPED:
    packages += below(mapped)

setup(
    name="scipion-em-relion4plugin",
    version=version(),
    description="RELION-4.0's tools for single-particle cryo-EM, natively in Python: VDAM classification for Scipion and the command line",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="GPL-3.0-or-later",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
    ],
    keywords="scipion cryoem relion vdam classification",
    python_requires=">=3.10",
    packages=packages,
    package_dir={NAME: NAME, **{f"{NAME}.{mapped}": mapped for mapped in MAPPED}},
    package_data={
        NAME: ["protocols.conf", "*.png"],
        f"{NAME}.ranker": ["*.safetensors"],
        f"{NAME}.web.monitor": ["static/*"],
        f"{NAME}.web.mdcatch": ["static/*"],
        f"{NAME}.templates": ["*", "acquisition/*", "presets/*", "schemes/*/*", "schemes/*/*/*"],
        f"{NAME}.tests": ["data/*"],
    },
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.10",
        "mrcfile>=1.4.3",
        "pandas>=2.0",
        "starfile>=0.5",
        "numba>=0.59",
        "gemmi>=0.6.5",
        "pillow>=10.1",
        "lxml>=4.9",
        "tifffile>=2023.9",
        "imagecodecs>=2023.9",
        "tqdm>=4.60",
        "threadpoolctl>=3.1",
        "flask>=3",
        "waitress>=3",
        "tomli>=2; python_version < '3.11'",
    ],
    extras_require={
        "scipion": ["scipion-em>=3.11", "scipion-app>=3.8", "numpy<2"],
        "cuda": ["cupy-cuda12x>=13"],
        "ranker": ["torch>=2", "safetensors>=0.4"],
        "mpi": ["mpi4py>=4"],
        "test": [
            "pytest>=8",
            "pytest-timeout>=2.3",
            "hypothesis>=6.100",
            "ruff>=0.6",
            "mypy>=1.11",
            "import-linter>=2.0",
            "pandas-stubs",
            "mpi4py>=4",
            "build>=1.2",
            "wheel>=0.40",
        ],
    },
    entry_points={
        "pyworkflow.plugin": [f"{NAME} = {NAME}"],
        "console_scripts": [f"{NAME} = {NAME}.cli.main:run"],
    },
)
