import pytest

from relion4plugin.parallel.launched import launched


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (1, 0)),
        ({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2"}, (3, 2)),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"}, (2, 1)),
        ({"MV2_COMM_WORLD_SIZE": "2", "MV2_COMM_WORLD_RANK": "0"}, (2, 0)),
        ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}, (4, 3)),
        # mpirun inside a step of SLURM, which started one daemon on each of two nodes
        ({"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "5", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}, (8, 5)),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, (1, 0)),  # a batch script, before srun
        ({"OMPI_COMM_WORLD_SIZE": "", "PMI_SIZE": "x"}, (1, 0)),
    ],
)
def test_launchers(environment, expected):
    assert launched(environment) == expected


def test_own_environment(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "5")
    monkeypatch.setenv("PMI_RANK", "4")
    monkeypatch.delenv("OMPI_COMM_WORLD_SIZE", raising=False)
    assert launched() == (5, 4)
