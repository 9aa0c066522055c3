"""Paths such as ``Schemes/prep/ctffind/out.star`` turned into those of the job's real directory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import UNDEFINED, Scheme, SchemeJob
from relion4plugin.schemes.project import SCHEMES

_MOST_PATHS = 100
_LONGEST = 1 << 16
JobsOf = Callable[[str], Mapping[str, SchemeJob]]


@dataclass(frozen=True)
class Rewritten:
    """A text with its paths resolved; `touched` says that it named a scheme, also where nothing changed."""

    text: str
    touched: bool = False
    other_scheme: bool = False
    remarks: tuple[str, ...] = ()


def rewrite_paths(text: str, scheme: Scheme, jobs_of: JobsOf, strict: bool = False) -> Rewritten:
    """Replace ``Schemes/<scheme>/<job>/`` by the job's directory.

    As in RELION the job is what stands between the scheme's name and the last slash. Where there is no such job but its
    first part is one, that one is taken, and a text may hold several paths; `strict` does neither. A file directly in a
    scheme's folder stays as it is. A job that has not run gives the path of a file that does not exist.

    Parameters
    ----------
    text : str
        Value of an option or string variable.
    scheme : Scheme
        The scheme that it belongs to.
    jobs_of : callable
        Gives the jobs of another scheme by its name; see `Context.jobs_of`.
    strict : bool
        Only what RELION does.

    Raises
    ------
    UserError
        If another scheme that is named does not exist.
    """
    if f"{SCHEMES}/" not in text and scheme.name not in text:
        return Rewritten(text)
    remarks: list[str] = []
    other_scheme = False
    original = text
    for _ in range(_MOST_PATHS):
        before = text
        if scheme.name in before:
            text = _rewrite_own(text, scheme, strict, remarks)
        if not (strict and scheme.name in before):
            resolved = _rewrite_other(text, scheme.name, jobs_of, strict, remarks)
            other_scheme = other_scheme or resolved != text
            text = resolved
        if strict or text == before:
            return Rewritten(text, True, other_scheme, tuple(remarks))
        if len(text) > _LONGEST:
            break
    raise UserError(f"{scheme.name}: paths of schemes without end in '{original[:60]}'; job names must not hold such paths")


def _job_part(text: str, prefix: str, jobs: Mapping[str, SchemeJob], strict: bool) -> str:
    """Return what stands for the job behind the first `prefix`; empty for a file directly in the scheme's folder."""
    start, end = text.index(prefix) + len(prefix), text.rfind("/")
    part = text[start:end] if end > start else ""
    first = part.split("/", 1)[0]
    return first if not strict and part not in jobs and first in jobs else part


def _rewrite_own(text: str, scheme: Scheme, strict: bool, remarks: list[str]) -> str:
    part = _job_part(text, scheme.name, scheme.jobs, strict)
    if not part:
        return text
    job = scheme.jobs.get(part)
    if job is None:
        remarks.append(f"no job '{part}' in {scheme.name}, named in '{text}'")
    return text.replace(f"{scheme.name}{part}/", "" if job is None else job.name)


def _rewrite_other(text: str, own: str, jobs_of: JobsOf, strict: bool, remarks: list[str]) -> str:
    at = text.find(f"{SCHEMES}/")
    name, slash, rest = text[at + len(SCHEMES) + 1 :].partition("/")
    prefix = f"{SCHEMES}/{name}/"
    if at < 0 or not slash or "/" not in rest or prefix == own:
        return text
    if not name or name != name.strip() or " " in name:
        raise UserError(f"{own}: '{text}' names no scheme behind {SCHEMES}/; expected {SCHEMES}/NAME/JOB/FILE")
    jobs = jobs_of(name)
    part = _job_part(text, prefix, jobs, strict)
    if not part:
        return text
    job = jobs.get(part)
    if job is None or not job.name:
        remarks.append(f"no job '{part}' in {prefix}, named in '{text}'")
        return text.replace(f"{prefix}{part}/", f"{UNDEFINED}/")
    return text.replace(f"{prefix}{part}/", job.name.rstrip("/") + "/")
