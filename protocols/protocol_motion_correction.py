"""Motion correction and dose weighting of movies."""

from collections.abc import Mapping, Sequence
from typing import Any

from pwem.objects import SetOfMicrographs
from pwem.protocols import EMProtocol
from pyworkflow.protocol import params

from relion4plugin.jobs.motioncorr_parameters import MotionCorrParameters

from .streaming_run import StreamingRun

# Output -> column of its images, ending of the set's file name. An Enum would take two outputs of one class for the same.
OUTPUTS = {"outputMicrographs": ("rlnMicrographName", ""), "outputMicrographsNoDW": ("rlnMicrographNameNoDW", "_noDW")}


class ProtR4pMotionCorrection(StreamingRun, EMProtocol):
    """Align the frames of movies, as a whole and in patches, and sum them with weights for radiation damage.

    Pixel size, exposure and gain reference are those of the movies. Movies are taken as they come. One that cannot be used is set
    aside, and the rest goes on.
    """

    JOB, PARAMETERS = "motioncorr", MotionCorrParameters
    NOT_IN_FORM = frozenset(
        {"input_star_mics", "fn_gain_ref", "dose_per_frame", "pre_exposure", "do_at_most", "use_gpu", "gpu_ids", "nr_threads"}
    )
    CONDITIONS: Mapping[str, str] = {"do_save_noDW": "do_dose_weighting", "group_for_ps": "do_save_ps"}
    INPUT, OUTPUTS, ITEMS, BATCH = "inputMovies", tuple(OUTPUTS), "movies", 4
    _label = "motion correction"
    _possibleOutputs = dict.fromkeys(OUTPUTS, SetOfMicrographs)

    def _define_inputs(self, form: Any) -> None:
        form.addParam(
            "inputMovies",
            params.PointerParam,
            pointerClass="SetOfMovies",
            important=True,
            label="Input movies",
            help="In MRC, TIFF or EER files, with exposure per frame and gain reference as they were imported.",
        )

    def _given(self) -> dict[str, Any]:
        movies = self._source()
        given = super()._given() | {"input_star_mics": str(self.runFolder() / "movies.star")}
        if movies is None:
            return given
        acquisition = movies.getAcquisition()
        return given | {
            "fn_gain_ref": movies.getGain() or "",
            "dose_per_frame": acquisition.getDosePerFrame() or 0.0,
            "pre_exposure": acquisition.getDoseInitial() or 0.0,
        }

    def _write_batch(self, batch: Sequence[int]) -> Mapping[str, Any]:
        from relion4plugin.scipion.job_inputs import MOVIES, items_of, write_input
        from relion4plugin.scipion.optics import optics_values

        movies = self._fresh_source()
        items = items_of(movies, batch)
        return write_input(self.runFolder() / "movies.star", MOVIES, items, optics_values(movies), self._links) if items else {}

    def _register(self, items: Mapping[str, Any]) -> None:
        from relion4plugin.jobs.motioncorr import OUTPUT
        from relion4plugin.scipion.job_inputs import COMPANIONS
        from relion4plugin.scipion.micrograph_items import corrected_micrograph, read_job_table
        from relion4plugin.scipion.optics import carry_groups

        made = {self._links.result_of(name, ".mrc"): movie for name, movie in items.items()}
        rows = [row for row in read_job_table(self.runFolder() / OUTPUT, "micrographs") if row["rlnMicrographName"] in made]
        movies, pixel_size = self._fresh_source(), self._source().getSamplingRate() * self._parameters.bin_factor
        carried = [label for label in (*COMPANIONS, "rlnMicrographMetadata") if rows and label in rows[0]]

        def append(name: str, label: str, suffix: str) -> None:
            def fill(micrographs: SetOfMicrographs, known: set[int]) -> None:
                if not known:
                    micrographs.copyInfo(movies)
                    micrographs.setSamplingRate(pixel_size)
                carry_groups(micrographs, movies)
                for row in rows:
                    movie = made[row["rlnMicrographName"]]
                    if movie.getObjId() not in known:
                        micrographs.append(corrected_micrograph(movie, row, row[label], pixel_size, carried))

            self._append(name, lambda: self._createSetOfMicrographs(suffix=suffix), fill)

        for name, (label, suffix) in OUTPUTS.items():
            if rows and label in rows[0]:
                append(name, label, suffix)
        movies.close()

    # ------------------------------------------------------------ information

    def _warnings(self) -> list[str]:
        movies, warnings = self._source(), super()._warnings()
        if movies is not None and movies.getDark():
            warnings.append("The movies have a dark reference, which is not subtracted: frames should be counts of electrons.")
        return warnings

    def _methods(self) -> list[str]:
        if not self.hasAttribute("outputMicrographs"):
            return []
        patches = f"{self.patch_x.get()} x {self.patch_y.get()} patches"
        weights = " and weighted by exposure" if self.do_dose_weighting.get() else ""
        return [f"Frames of {self.getObjectTag('inputMovies')} were aligned in {patches}{weights}."]

    def _citations(self) -> list[str]:
        return ["Zivanov2019"]
