"""CTF estimation as a job: micrograph by micrograph, with RELION's files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.job_names import output_root
from relion4plugin.files.mrc import read_mrc, write_stack
from relion4plugin.jobs.ctffind_micrographs import Source, read_sources, results_table
from relion4plugin.jobs.ctffind_parameters import CtfFindParameters
from relion4plugin.jobs.log_plots import CTF
from relion4plugin.jobs.micrograph_job import JobKind, MicrographJob, naming
from relion4plugin.jobs.parameters import check, fields_of, format_value, from_job_options, to_job_options
from relion4plugin.jobs.star_rows import RowFile
from relion4plugin.preprocessing.ctf.estimate import CtfEstimate, estimate_ctf
from relion4plugin.preprocessing.ctf.picture import diagnostic_picture
from relion4plugin.preprocessing.ctf.search import SearchRange
from relion4plugin.preprocessing.ctf.spectrum import FINEST_PIXEL, PowerSpectrum, given_spectrum, micrograph_spectrum
from relion4plugin.preprocessing.ctf.text_log import log_path, read_log, write_log
from relion4plugin.progress import Progress

__all__ = ["OUTPUT", "CtfFindOutputs", "CtfFindParameters", "from_options", "relion_command", "run", "search_range", "validate"]

OUTPUT = "micrographs_ctf.star"
_BYTES_PER_MICROGRAPH = 2 << 20


@dataclass(frozen=True)
class CtfFindOutputs:
    """The STAR file, the number of micrographs in it, of those treated now and of those set aside."""

    micrographs: Path
    n_micrographs: int
    n_new: int
    n_set_aside: int
    remarks: tuple[str, ...]


def from_options(options: Mapping[str, str], where: str = "job.star") -> CtfFindParameters:
    """Build the parameters from job.star options of RELION 3.1, 4 or 5.

    Raises
    ------
    UserError
        If a value has the wrong type.
    """
    return from_job_options(CtfFindParameters, options, where)


def search_range(parameters: CtfFindParameters) -> SearchRange:
    """Translate to the range of the search."""
    p = parameters
    phases = (p.phase_min, p.phase_max, p.phase_step) if p.do_phaseshift else None
    return SearchRange(p.dfmin, p.dfmax, p.dfstep, p.dast, phases, p.slow_search)


def validate(parameters: CtfFindParameters) -> tuple[str, ...]:
    """Check what can be known without reading the micrographs.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    if p.dfmin <= 0 or p.dfmin >= p.dfmax:
        raise UserError(f"defocus is searched from {p.dfmin:g} to {p.dfmax:g} A: --dfmin must be above 0 and below --dfmax")
    if p.dfstep <= 0:
        raise UserError(f"dfstep is {p.dfstep:g} A but must be above 0: give --dfstep some hundred A")
    if p.resmax <= 0 or p.resmin <= p.resmax:
        raise UserError(f"the fit goes from resmin {p.resmin:g} to resmax {p.resmax:g} A: --resmin must be the larger, and both above 0")
    if p.do_phaseshift and (p.phase_step <= 0 or p.phase_min >= p.phase_max):
        raise UserError(
            f"phase shifts are searched from {p.phase_min:g} to {p.phase_max:g} degrees in steps of {p.phase_step:g}: "
            "--phase_min must be below --phase_max, and --phase_step above 0"
        )
    if p.box % 2:
        raise UserError(f"box is {p.box} px but must be even: give --box {p.box + 1}")
    if 0 < p.ctf_win < p.box:
        raise UserError(f"ctf_win is {p.ctf_win} px, less than the box of {p.box} px: give a larger --ctf_win, or -1 for all")
    return ()


def relion_command(parameters: CtfFindParameters, out_dir: Path, is_continue: bool) -> list[str]:
    """Return the words of RELION's own command for the same job, with CTFFIND."""
    from relion4plugin.jobs.registry import job_type

    return job_type("relion.ctffind").relion_command({**to_job_options(parameters), "use_ctffind4": "Yes"}, out_dir, is_continue)[0]


def run(
    parameters: CtfFindParameters, out_dir: Path, progress: Progress, is_continue: bool = False, overwrite: bool = False
) -> CtfFindOutputs:
    """Estimate the CTF of every micrograph; arguments and errors are those of all jobs in `micrograph_job`."""
    validate(parameters)
    rows, sources, remarks = read_sources(parameters)
    job = _Job(parameters, out_dir, rows, sources)
    job.prepare(is_continue, overwrite, bytes_each=_BYTES_PER_MICROGRAPH)
    ended = job.treat(job.compute, progress, parameters.nr_mpi)
    return CtfFindOutputs(out_dir / OUTPUT, ended.n_finished, ended.n_new, ended.n_set_aside, (*remarks, *ended.remarks))


class _Job(MicrographJob[CtfEstimate]):
    KIND = JobKind("CTF estimation", (OUTPUT,), plots=(OUTPUT, "micrographs", CTF))

    def __init__(self, parameters: CtfFindParameters, out_dir: Path, rows: RowFile, sources: list[Source]) -> None:
        super().__init__(out_dir, [source.micrograph for source in sources])
        self._parameters, self._rows, self._sources = parameters, rows, sources
        self._where = search_range(parameters)
        self._settings = {f.name: format_value(getattr(parameters, f.name)) for f in fields_of(type(parameters)) if f.name != "nr_mpi"}

    def kept(self, item: int) -> CtfEstimate | None:
        root = self._root(item)
        return read_log(log_path(root)) if _picture(root).is_file() and log_path(root).is_file() else None

    def mark(self, item: int) -> Path:
        return log_path(self._root(item))

    def compute(self, item: int) -> Callable[[], CtfEstimate]:
        """Estimate one micrograph; return what writes its files."""
        p, source = self._parameters, self._sources[item]
        with naming(source.image):
            spectrum = self._spectrum(source)
            fit = estimate_ctf(spectrum, source.microscope, self._where, p.resmin, p.resmax)
        shown = min(p.resmax, fit.estimate.max_resolution)
        picture = diagnostic_picture(spectrum, fit.row, source.microscope, fit.profile, shown)

        def write() -> CtfEstimate:
            root = self._root(item)
            root.parent.mkdir(parents=True, exist_ok=True)
            write_stack(_picture(root), picture[None], spectrum.pixel_size)
            write_log(root, fit.estimate, source.microscope, spectrum.pixel_size, {"image": source.image, **self._settings})
            return read_log(log_path(root))  # the same digits, whichever execution lists it

        return write

    def write_lists(self, finished: Mapping[int, CtfEstimate]) -> None:
        sources, pictures = [self._sources[i] for i in finished], [f"{_picture(self._root(i)).as_posix()}:mrc" for i in finished]
        self._rows.write(self.out_dir / OUTPUT, results_table(sources, pictures, list(finished.values()), self._parameters.do_phaseshift))

    def _root(self, item: int) -> Path:
        """Return what the names of a micrograph's files begin with."""
        return output_root(self.out_dir, self._sources[item].image)

    def _spectrum(self, source: Source) -> PowerSpectrum:
        p = self._parameters
        if source.is_spectrum:
            return given_spectrum(Path(source.image))
        images, _ = read_mrc(source.image)
        if len(images) != 1:
            raise UserError(f"expected one image, found {len(images)}: this is a movie or a stack, correct its motion first")
        image = images[0]
        if p.ctf_win > 0:
            (ny, nx), side = image.shape, p.ctf_win
            y, x = max(0, (ny - side) // 2), max(0, (nx - side) // 2)
            image = image[y : y + side, x : x + side]
        return micrograph_spectrum(image, source.pixel_size, p.box, min(FINEST_PIXEL, 0.5 * p.resmax))


def _picture(root: Path) -> Path:
    return root.with_name(f"{root.name}.ctf")
