"""Which files of a project are to be shown as outputs, and which of them are new: pure functions of the project's state."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.files.file_cache import stamp_of
from relion4plugin.schemes.labels import relion4_label
from relion4plugin.schemes.pipeline import Status
from relion4plugin.schemes.status import ProjectStatus

_SELECTIONS = ("relion.select.onvalue", "relion.select.discard", "relion.select.removeduplicates")
# What is shown, start of the file's kind, and starts of job types: the newest file of the first type that there is.
_WANTED = (
    ("micrographs", "MicrographsData", ("relion.motioncorr", "relion.import", "relion.ctffind")),
    ("ctfs", "MicrographsData", ("relion.ctffind",)),
    ("particles", "ParticlesData", ("relion.extract", "relion.import", "relion.joinstar", *_SELECTIONS, "relion.class2d")),
    ("classes2d", "ProcessData.star.relion.optimiser", ("relion.class2d",)),
    ("selection", "ImagesData", ("relion.select",)),
    ("initial_model", "DensityMap.mrc", ("relion.initialmodel",)),
    ("classes3d", "ProcessData.star.relion.optimiser", ("relion.class3d",)),
    ("refined_map", "DensityMap.mrc", ("relion.refine3d",)),
)
_HALF_MAP = "halfmap"


@dataclass(frozen=True)
class Product:
    """A finished file; `kind` says what it is, `file` and `job` are relative to the project, `stamp` changes with the file."""

    kind: str
    file: str
    job: str
    stamp: tuple[int, ...]

    @property
    def suffix(self) -> str:
        """Ending of names of sets that are made from it: ``_job002``."""
        return f"_{Path(self.job).name}"


def products(status: ProjectStatus) -> dict[str, Product]:
    """Return the newest file of each kind that a job which has succeeded left, in the order in which they depend on each other."""
    found = {}
    for kind, label, types in _WANTED:
        product = next((product for start in types if (product := _newest(status, kind, label, start)) is not None), None)
        if product is not None:
            found[kind] = product
    return found


def _newest(status: ProjectStatus, kind: str, label: str, job_type: str) -> Product | None:
    jobs = {job.name for job in status.jobs if job.status == Status.SUCCEEDED.value and job.type_label.startswith(job_type)}
    for job, node in reversed(status.pipeline.outputs):
        node_label = relion4_label(status.pipeline.nodes[node].type_label)
        if job in jobs and node_label.startswith(label) and _HALF_MAP not in node_label:
            stamp = stamp_of(Path(status.root) / node)
            if stamp is not None:
                return Product(kind, node, job, tuple(stamp))
    return None


def news(found: Mapping[str, Product], shown: Mapping[str, Product]) -> list[Product]:
    """Return what has changed since it was shown."""
    return [product for kind, product in found.items() if shown.get(kind) != product]
