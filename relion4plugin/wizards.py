"""Wizards: small windows beside an entry of a form."""

from pathlib import Path
from typing import Any

import numpy as np
from pwem.objects import Particle
from pwem.wizards.wizard import EmWizard, MaskPreviewDialog
from pyworkflow.gui import dialog
from pyworkflow.gui.tree import ListTreeProvider

from relion4plugin.errors import UserError
from relion4plugin.protocols import ProtR4pClassify2D, ProtR4pClassify3D, ProtR4pInitialModel, ProtR4pRefine3D
from relion4plugin.scipion.images import read_images
from relion4plugin.scipion.sets import read_columns

AVERAGED = 300
LISTED = 30
PIXELS = "px"


class LabelTreeProvider(ListTreeProvider):
    """List of items under their labels instead of their file names."""

    def getText(self, obj: Any) -> str:
        """Text of an item."""
        return str(obj.getObjLabel())


class DiameterDialog(MaskPreviewDialog):
    """Preview of particles with the circle of the mask; shows its diameter."""

    def _beforePreview(self) -> None:
        super()._beforePreview()
        self.previewLabel = ""

    def showValues(self, var2set: Any, radiusSlider: Any) -> None:
        """Write the diameter beside the slider."""
        pixels = 2 * self.getRadius(radiusSlider)
        var2set.set(f"Diameter {pixels * self.samplingRate:.0f} Å ({pixels:.0f} px)")


class R4pMaskDiameterWizard(EmWizard):
    """Choose the mask diameter on an average of input particles."""

    _targets = [
        (protocol, ["particle_diameter"]) for protocol in (ProtR4pClassify2D, ProtR4pInitialModel, ProtR4pClassify3D, ProtR4pRefine3D)
    ]

    def show(self, form: Any, *_params: str) -> None:
        """Open the preview and put the chosen diameter into the form."""
        protocol = form.protocol
        particles = protocol.particlesPointer().get()
        if particles is None:
            dialog.showWarning("No input", "Choose the input particles first.", form.root)
            return
        pixel = particles.getSamplingRate()
        try:
            items = preview_items(particles, Path(protocol.getProject().getTmpPath()))
        except UserError as error:
            dialog.showError("Particles cannot be shown", str(error), form.root)
            return
        largest = particles.getDimensions()[0] // 2
        radius = int(np.clip(round(protocol.particle_diameter.get() / 2 / pixel), 1, largest))
        window = DiameterDialog(form.root, LabelTreeProvider(items), maskRadius=radius, unit=PIXELS)
        if window.resultYes():
            form.setVar("particle_diameter", round(2 * window.getRadius(window.radiusSlider) * pixel, 1))


def preview_items(particles: Any, folder: Path) -> list[Particle]:
    """Particles to look at: first an average of some of them, written to `folder`, then a few single ones.

    Raises
    ------
    UserError
        The set or its images cannot be read.
    """
    from relion4plugin.files.mrc import write_stack

    columns = read_columns(particles.getFileName(), ("_index", "_filename"), particles.getPrefix() or "")
    if not len(columns):
        raise UserError("the input set has no enabled particles; choose another input")
    locations = [(index or 1, name) for index, name in zip(columns.get("_index"), columns.get("_filename"), strict=True)]
    chosen = np.unique(np.linspace(0, len(locations) - 1, AVERAGED).astype(int))
    average = folder / "r4p_average_of_particles.mrcs"
    write_stack(average, read_images([locations[row] for row in chosen]).mean(axis=0)[None], particles.getSamplingRate())
    items = [_item(1, (1, str(average)), f"average of {len(chosen)} particles", particles)]
    for row in chosen[:: max(1, len(chosen) // LISTED)][:LISTED]:
        items.append(_item(len(items) + 1, locations[row], f"particle {columns.ids[row]}", particles))
    return items


def _item(number: int, location: tuple[int, str], label: str, particles: Any) -> Particle:
    item = Particle(location=location, objId=number)
    item.setObjLabel(label)
    item.setSamplingRate(particles.getSamplingRate())
    return item
