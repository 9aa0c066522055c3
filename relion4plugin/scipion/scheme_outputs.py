"""What a scheme makes as outputs of its protocol, brought up to date while it runs.

Sets of micrographs, CTFs and particles grow: what they have is read from their files, so that nothing but the outputs
themselves needs to be remembered when a run goes on. A set belongs to one job; a new job gets a new one. Classes and maps
are those of the newest job.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pwem.objects import Pointer, Set

from relion4plugin.errors import UserError
from relion4plugin.schemes.status import ProjectStatus
from relion4plugin.scipion.micrographs import append_ctfs, append_micrographs, ids_of, read_micrographs
from relion4plugin.scipion.scheme_particles import append_particles, known_images, read_scheme_particles, results_of
from relion4plugin.scipion.scheme_products import Product, news, products
from relion4plugin.scipion.sets import read_columns

MICROGRAPHS, CTFS, PARTICLES, CLASSES, AVERAGES = "outputMicrographs", "outputCTF", "outputParticles", "outputClasses", "outputAverages"
SELECTED_CLASSES, SELECTED_AVERAGES = "outputSelectedClasses", "outputSelectedAverages"
SELECTED_PARTICLES, REFINED_PARTICLES = "outputSelectedParticles", "outputRefinedParticles"
INITIAL_MODEL, CLASSES_3D, VOLUMES, VOLUME = "outputInitialModel", "outputClasses3D", "outputVolumes", "outputVolume"


class SchemeOutputs:
    """Outputs of a protocol that runs schemes.

    Parameters
    ----------
    protocol : protocol
        Receives the outputs.
    root : Path
        Folder of the schemes' project, relative to that of the host.
    """

    def __init__(self, protocol: Any, root: Path) -> None:
        self.protocol, self.root = protocol, root
        self._shown: dict[str, Product] = {}
        self._show: dict[str, Callable[[Product], None]] = {
            "micrographs": self._micrographs,
            "ctfs": self._ctfs,
            "particles": self._particles,
            "classes2d": self._classes2d,
            "selection": self._selection,
            "initial_model": self._initial_model,
            "classes3d": self._classes3d,
            "refined_map": self._refined_map,
        }

    def update(self, status: ProjectStatus) -> list[str]:
        """Show what is new; returns a line for each file that cannot be shown."""
        problems = []
        for product in news(products(status), self._shown):
            self._shown[product.kind] = product
            try:
                self._show[product.kind](product)
            except UserError as error:
                problems.append(str(error))
        return problems

    # ------------------------------------------------------------ sets that grow

    def _micrographs(self, product: Product) -> None:
        table = read_micrographs(self.root / product.file, self.root)
        micrographs, is_new = self._growing(MICROGRAPHS, product, self.protocol._createSetOfMicrographs)
        self._put_grown(MICROGRAPHS, micrographs, append_micrographs(micrographs, table, {} if is_new else ids_of(micrographs)))

    def _ctfs(self, product: Product) -> None:
        table = read_micrographs(self.root / product.file, self.root)
        ctfs, is_new = self._growing(CTFS, product, self.protocol._createSetOfCTF)
        ctfs.setMicrographs(self._pointer(MICROGRAPHS))
        known = set() if is_new else set(read_columns(ctfs.getFileName(), ()).ids)
        self._put_grown(CTFS, ctfs, append_ctfs(ctfs, table, ids_of(self.protocol.outputMicrographs), known))

    def _particles(self, product: Product) -> None:
        data = read_scheme_particles(self.root / product.file, self.root)
        micrographs = ids_of(self.protocol.outputMicrographs) if hasattr(self.protocol, MICROGRAPHS) else {}
        particles, is_new = self._growing(PARTICLES, product, self.protocol._createSetOfParticles)
        self._put_grown(PARTICLES, particles, append_particles(particles, data, micrographs, set() if is_new else known_images(particles)))

    def _growing(self, name: str, product: Product, create: Callable[..., Any]) -> tuple[Any, bool]:
        """Open the set of a job for appending, or create it; tells whether it is new."""
        output = getattr(self.protocol, name, None)
        if output is None or not Path(output.getFileName()).stem.endswith(product.suffix):
            return create(suffix=product.suffix), True
        items = type(output)(filename=output.getFileName())
        items.loadAllProperties()
        items.enableAppend()
        return items, False

    # ------------------------------------------------------------ classes

    def _classes2d(self, product: Product) -> None:
        from relion4plugin.files.model_star import read_class2d_results
        from relion4plugin.scipion.classes2d import Class2DResult
        from relion4plugin.scipion.outputs import fill_averages, fill_classes2d
        from relion4plugin.scipion.particle_results import CLASS_SCORES

        run, source = read_class2d_results(self.root / product.file), self._source()
        result = Class2DResult(
            particles=results_of(read_scheme_particles(run.data_star, self.root), source, projection=False),
            sizes=run.classes["n_particles"].to_numpy(),
            scores={label: run.classes[column].tolist() for label, column in CLASS_SCORES.items()},
            averages=run.classes_path,
        )
        classes = self.protocol._createSetOfClasses2D(self._pointer(PARTICLES), suffix=product.suffix)
        fill_classes2d(classes, result, run.pixel_size)
        self._put(CLASSES, classes)
        averages = self.protocol._createSetOfAverages(suffix=product.suffix)
        fill_averages(averages, result, source)
        self._put(AVERAGES, averages)

    def _selection(self, product: Product) -> None:
        from relion4plugin.scipion import rank_outputs
        from relion4plugin.scipion.rank_inputs import object_ids

        averages_star, source = self.root / product.file, self._source()
        kept = read_scheme_particles(averages_star.with_name("particles.star"), self.root)
        selection = rank_outputs.read_selection(averages_star, kept, object_ids(kept, source), selected_numbers(averages_star))
        locations = tuple((index, str(self.root / stack)) for index, stack in selection.locations)
        selection = dataclasses.replace(selection, locations=locations)
        classes = self.protocol._createSetOfClasses2D(self._pointer(PARTICLES), suffix=product.suffix)
        rank_outputs.fill_selected_classes(classes, selection, source.getSamplingRate())
        self._put(SELECTED_CLASSES, classes)
        averages = self.protocol._createSetOfAverages(suffix=product.suffix)
        rank_outputs.fill_selected_averages(averages, selection, source)
        self._put(SELECTED_AVERAGES, averages)
        particles = self.protocol._createSetOfParticles(suffix=product.suffix)
        rank_outputs.fill_selected_particles(particles, selection, source)
        self._put(SELECTED_PARTICLES, particles)

    # ------------------------------------------------------------ maps

    def _initial_model(self, product: Product) -> None:
        self._volume(INITIAL_MODEL, product)

    def _classes3d(self, product: Product) -> None:
        from relion4plugin.scipion.outputs3d import fill_classes3d, fill_volumes

        result = self._result3d(self.root / product.file)
        classes = self.protocol._createSetOfClasses3D(self._pointer(PARTICLES), suffix=product.suffix)
        fill_classes3d(classes, result)
        self._put(CLASSES_3D, classes)
        volumes = self.protocol._createSetOfVolumes(suffix=product.suffix)
        fill_volumes(volumes, result)
        self._put(VOLUMES, volumes)

    def _refined_map(self, product: Product) -> None:
        from relion4plugin.scipion.outputs3d import fill_particles

        folder = self.root / product.job
        self._volume(VOLUME, product, tuple(sorted(folder.glob("run_half?_class001_unfil.mrc"))))
        particles = self.protocol._createSetOfParticles(suffix=product.suffix)
        fill_particles(particles, self._source(), self._result3d(folder))
        self._put(REFINED_PARTICLES, particles)

    def _result3d(self, run: Path) -> Any:
        from relion4plugin.files.model3d_star import read_3d_results
        from relion4plugin.scipion.classes3d import Result3D
        from relion4plugin.scipion.particle_results import CLASS_SCORES

        found, empty = read_3d_results(run), np.zeros(0)
        return Result3D(
            particles=results_of(read_scheme_particles(found.data_star, self.root), self._source(), projection=True),
            sizes=found.classes["n_particles"].to_numpy(),
            scores={label: found.classes[column].tolist() for label, column in CLASS_SCORES.items()},
            maps=found.maps,
            half_maps=(),
            fsc=(empty, empty),
            pixel_size=found.pixel_size,
        )

    def _volume(self, name: str, product: Product, halves: tuple[Path, ...] = ()) -> None:
        from relion4plugin.files.mrc import read_header
        from relion4plugin.scipion.volumes import make_volume

        path = self.root / product.file
        volume = make_volume(path, read_header(path).pixel_size, halves, label=product.job.rstrip("/"))
        self.protocol._defineOutputs(**{name: volume})

    # ------------------------------------------------------------ common

    def _source(self) -> Any:
        particles = getattr(self.protocol, PARTICLES, None)
        if particles is None:
            raise UserError(f"{self.root}: classes are there, but not their particles; they are left out of the outputs")
        return particles

    def _pointer(self, name: str) -> Pointer:
        return Pointer(self.protocol, extended=name)

    def _put_grown(self, name: str, items: Any, added: int) -> None:
        """Put a set that has grown, or that an interrupted run closed."""
        output = getattr(self.protocol, name, None)
        if added or (output is not None and not output.isStreamOpen()):
            self._put(name, items)
        items.close()

    def _put(self, name: str, items: Any) -> None:
        output = getattr(self.protocol, name, None)
        if output is not None:
            output.close()  # the host keeps the object and gives it the new set's file: it must not go on with the old one
        self.protocol._updateOutputSet(name, items, Set.STREAM_OPEN)


def selected_numbers(averages: Path) -> list[int]:
    """Return the class numbers, from 1, of the rows of a class_averages.star.

    Its images may have been renumbered by recentring, so a class is known by its score.

    Raises
    ------
    UserError
        If files are missing or damaged.
    """
    from relion4plugin.files.run_files import rows
    from relion4plugin.files.star import read_star
    from relion4plugin.ranker.outputs import files_of, read_backup

    files, what = files_of(averages.parent), "a file of a class selection"
    scores = rows(read_star(files.model), "model_classes", ("rlnClassScore",), files.model, what)["rlnClassScore"].to_numpy()
    chosen = np.flatnonzero(read_backup(files.backup, len(scores)))
    rows_scores = rows(read_star(averages), "", ("rlnPredictedClassScore",), averages, what)["rlnPredictedClassScore"].to_numpy()
    if len(rows_scores) != len(chosen):
        raise UserError(f"{averages}: {len(rows_scores)} classes, but {files.backup.name} selects {len(chosen)}; run the selection again")
    numbers = np.empty(len(chosen), np.int64)
    numbers[np.argsort(rows_scores, kind="stable")] = chosen[np.argsort(scores[chosen], kind="stable")] + 1
    return [int(number) for number in numbers]
