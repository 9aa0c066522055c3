"""What refinements that start from a map have in common: pointers to reference and mask, and their files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pwem.objects import SetOfParticles, SetOfVolumes
from pyworkflow.protocol import params

from relion4plugin.jobs.parameters import ParameterField

from .refinement_run import RefinementRun


class ReferenceRun(RefinementRun):
    """Mix-in of 3D classification and auto-refinement.

    Attributes
    ----------
    REFERENCES : str
        Classes of object that can be the reference.
    """

    REFERENCES: str

    def _define_inputs(self, form: Any, declared: Mapping[str, ParameterField]) -> None:
        form.addParam(
            "referenceVolume",
            params.PointerParam,
            pointerClass=self.REFERENCES,
            condition="not doContinue",
            important=True,
            label=declared["fn_ref"].label,
            help="The map to start from; one of another box or pixel size is rescaled."
            + (" A set of maps gives each class its own." if "SetOfVolumes" in self.REFERENCES else ""),
        )
        form.addParam(
            "referenceMask",
            params.PointerParam,
            pointerClass="VolumeMask",
            allowsNull=True,
            label=declared["fn_mask"].label,
            help=declared["fn_mask"].help,
        )

    def _given(self) -> dict[str, Any]:
        reference = "" if self.doContinue.get() else str(self._reference_file())
        mask = str(self.runFolder() / "mask.mrc") if self.referenceMask.get() is not None else ""
        return super()._given() | {"fn_ref": reference, "fn_mask": mask}

    # ----------------------------------------------------------------- steps

    def _input_files(self) -> list[Path]:
        from relion4plugin.scipion.volumes import volume_file

        reference, mask = self.referenceVolume.get(), self.referenceMask.get()
        files = [Path(reference.getFileName()) if isinstance(reference, SetOfVolumes) else volume_file(reference)]
        return files if mask is None else [*files, volume_file(mask)]

    def _convert_inputs(self) -> None:
        from relion4plugin.scipion.volumes import write_map, write_references

        reference, mask = self.referenceVolume.get(), self.referenceMask.get()
        if not self.doContinue.get():
            write = write_references if isinstance(reference, SetOfVolumes) else write_map
            write(reference, self._reference_file())
        if mask is not None:
            write_map(mask, self.runFolder() / "mask.mrc")

    def _check_converted(self) -> None:
        from relion4plugin.jobs.inputs import read_input_particles
        from relion4plugin.jobs.refinement_checks import check_sizes

        check_sizes(self.parameters(), read_input_particles(self._star()))

    # ------------------------------------------------------------ information

    def _more_errors(self, particles: SetOfParticles) -> list[str]:
        errors = [] if self.doContinue.get() else self._reference_errors()
        mask = self.referenceMask.get()
        if mask is not None and mask.getDim() is not None and mask.getDim()[0] != particles.getDimensions()[0]:
            errors.append(f"The mask has {mask.getDim()[0]} px and the particles {particles.getDimensions()[0]}: make a mask in their box.")
        return errors + self._symmetry_errors()

    def _reference_errors(self) -> list[str]:
        reference = self.referenceVolume.get()
        if reference is None:
            return ["Choose the reference map."]
        if isinstance(reference, SetOfVolumes) and reference.getSize() not in (1, self._n_classes()):
            return [f"{reference.getSize()} reference maps for {self._n_classes()} classes: the numbers must be equal."]
        return []

    def _symmetry_errors(self) -> list[str]:
        return symmetry_errors(self.sym_name.get())

    # ----------------------------------------------------------------- helpers

    def _reference_file(self) -> Path:
        many = isinstance(self.referenceVolume.get(), SetOfVolumes)
        return self.runFolder() / ("references.star" if many else "reference.mrc")


def symmetry_errors(name: str | None) -> list[str]:
    """Say what is wrong with the name of a point group."""
    from relion4plugin.errors import UserError
    from relion4plugin.geometry.symmetry import point_group

    try:
        point_group(name or "")
    except UserError as error:
        return [str(error)]
    return []
