"""The launch of a job by a scheme, kept in scheme.star while the job's node is being executed.

Node and launch stand in one file that is replaced as a whole. A runner that was killed therefore finds on disk either that
a launch is under way (and its name, under which its traces are found), or that the next node is reached. RELION's programs
skip the table.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

from relion4plugin.files.star_text import list_block
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.schemes.model import UNDEFINED, Scheme

_TABLE = "scheme_launch"
_LABELS = ("rlnSchemeLaunchNode", "rlnSchemeLaunchName", "rlnSchemeLaunchJobDirectory", "rlnSchemeLaunchIsContinue")
# Where and how fast a job runs does not change what it makes.
_COMPUTE = frozenset(
    "nr_mpi nr_threads use_gpu gpu_ids scratch_dir nr_pool do_preread_images do_parallel_discio do_combine_thru_disc "
    "do_queue queuename qsub qsubscript min_dedicated".split()
)


@dataclass(frozen=True)
class Launch:
    """One launch: the node, a name that is never used again, and once it is known the job directory."""

    node: str
    name: str
    directory: str = ""
    is_continue: bool = False


def new_launch(node: str, directory: str = "", is_continue: bool = False) -> Launch:
    """Return a launch with a new name; a job that is continued has its directory already."""
    return Launch(node, uuid.uuid4().hex[:16], directory, is_continue)


def launch_of(scheme: Scheme, node: str) -> Launch | None:
    """Return the launch of a node that is under way, None where there is none."""
    table = next((table for table in scheme.unknown if table.name == _TABLE), None)
    if table is None:
        return None
    found, name, directory, is_continue = (table.value(label) for label in _LABELS)
    if found != node or not name:
        return None
    return Launch(node, name, "" if directory == UNDEFINED else directory, is_continue == "1")


def with_launch(scheme: Scheme, launch: Launch) -> Scheme:
    """Note a launch in the place of any other."""
    values = (launch.node, launch.name, launch.directory or UNDEFINED, str(int(launch.is_continue)))
    table = list_block(_TABLE, dict(zip(_LABELS, values, strict=True)), scheme.version)
    scheme = without_launch(scheme)
    return replace(scheme, unknown=(*scheme.unknown, table))


def without_launch(scheme: Scheme) -> Scheme:
    """Forget the launch."""
    return replace(scheme, unknown=tuple(table for table in scheme.unknown if table.name != _TABLE))


def template_digest(job: JobStar) -> str:
    """Return a digest of what a person can edit in a template, as it stands there with ``$$`` and without options of computing.

    Variables and upstream directories may change between two executions of a job that goes on; an edit of the template
    means another job.
    """
    options: Mapping[str, str] = {name: value for name, value in job.options.items() if name not in _COMPUTE}
    return hashlib.sha256(json.dumps([job.type_label, sorted(options.items())]).encode()).hexdigest()
