"""Settings that keep the runs of this folder small."""

import pytest

from relion4plugin.refinement.settings import RefinementSettings


@pytest.fixture
def small():
    """Settings of a short run on 32 px boxes of 3 A."""

    def make(**changes) -> RefinementSettings:
        values = {
            "n_classes": 2,
            "n_iterations": 10,
            "particle_diameter": 72.0,
            "ini_subset": 100,
            "fin_subset": 200,
            "threads": 2,
            "seed": 3,
        }
        return RefinementSettings(**(values | changes))

    return make
