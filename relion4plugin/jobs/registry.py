"""All types of jobs, and how one is found by its label."""

from functools import cache

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, ContinueKind, Execution, JobType, NativeRunner

__all__ = ["Commands", "ContinueKind", "Execution", "JobType", "NativeRunner", "job_type", "job_types"]


@cache
def job_types() -> dict[str, JobType]:
    """Return all types by base label, in the order in which jobs usually follow each other."""
    from relion4plugin.jobs.relion import (
        autopick,
        class2d,
        class3d,
        ctffind,
        ctfrefine,
        external,
        extract,
        import_,
        initialmodel,
        joinstar,
        localres,
        manualpick,
        maskcreate,
        motioncorr,
        multibody,
        polish,
        postprocess,
        refine3d,
        select,
        subtract,
    )

    modules = (
        *(import_, motioncorr, ctffind, manualpick, select, autopick, extract, class2d, initialmodel, class3d, refine3d),
        *(maskcreate, postprocess, localres, multibody, subtract, joinstar, ctfrefine, polish, external),
    )
    return {module.TYPE.label: module.TYPE for module in modules}


def job_type(label: str) -> JobType:
    """Find a type by its label, by a label with suffixes (``relion.select.class2dauto``) or by its folder (``Class2D``).

    Raises
    ------
    UserError
        If there is none.
    """
    known = job_types()
    parts = label.split(".")
    for length in range(len(parts), 0, -1):
        base = ".".join(parts[:length])
        if base in known:
            return known[base]
    for kind in known.values():
        if label == kind.folder:
            return kind
    raise UserError(f"there is no job type '{label}'; known: {', '.join(sorted(known))}")
