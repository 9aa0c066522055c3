"""The parameters of picking with crYOLO: words of an external job."""

from dataclasses import dataclass

from relion4plugin.jobs.autopick_parameters import PickSourceParameters
from relion4plugin.jobs.parameters import parameter

_IO, _CRYOLO, _RUNNING = "I/O", "crYOLO", "Running"


@dataclass(frozen=True)
class CryoloParameters(PickSourceParameters):
    """Picking with crYOLO."""

    fn_input_autopick: str = parameter(
        "", label="Input micrographs", section=_IO, option="--in_mics", short=("--i",), pattern="*.star", help="STAR file of micrographs."
    )
    model: str = parameter(
        "None", label="Trained network", section=_CRYOLO, pattern="*.h5",
        help="None takes crYOLO's general one, which the environment variable CRYOLO_GENERIC_MODEL names.",
    )  # fmt: skip
    box_size: int = parameter(
        0, label="Box size", section=_CRYOLO, unit="px", minimum=0,
        help="In the micrograph, about a particle diameter; 0 takes the size that the network learnt.",
    )  # fmt: skip
    threshold: float = parameter(
        0.3, label="Least confidence", section=_CRYOLO, minimum=0.0, maximum=1.0, help="Picks below it are not written."
    )
    cryolo_env: str = parameter(
        "", label="crYOLO environment", section=_CRYOLO, pattern="*",
        help="Folder of crYOLO's Python environment, or its program cryolo_predict.py; "
        "empty takes that of the environment variable CRYOLO_ENV or PATH.",
    )  # fmt: skip
    cryolo_batch: int = parameter(
        100, label="Micrographs per call", section=_CRYOLO, minimum=1, advanced=True,
        help="crYOLO loads its network once for so many micrographs; they are finished together.",
    )  # fmt: skip
    gpu: str = parameter("0", label="Which GPUs to use", section=_RUNNING, help="Numbers of cards, counted from 0, such as 0,1.")
    nr_threads: int = parameter(1, label="Number of threads", section=_RUNNING, short=("--j",), minimum=1, help="To filter micrographs.")
