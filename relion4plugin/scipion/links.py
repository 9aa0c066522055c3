"""Short names for the inputs of a job, so that its results lie directly in the run's folder.

RELION names results after the inputs, without the directory of the job that made these, ``.../job001/``. The inputs of a host's run are
therefore linked into such a directory.
"""

import os
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.job_names import output_root
from relion4plugin.scipion.images import MRC_SUFFIXES, read_images

_PLACE = Path("input", "job001")


class Links:
    """Links to the inputs of a run; no two have the same name without suffix.

    Parameters
    ----------
    folder : Path
        Of the run's results; links that an earlier execution made are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._place = folder, folder / _PLACE
        self._place.mkdir(parents=True, exist_ok=True)
        self._known = {path.stem: (path, os.readlink(path)) for path in sorted(self._place.iterdir()) if path.is_symlink()}

    def to(self, source: str | Path) -> str:
        """Return the name of a link to a file, the same for the same file."""
        source = Path(str(source).removesuffix(":mrc"))
        target = os.path.relpath(source, self._place)
        stem, number = source.stem, 1
        while stem in self._known:
            path, known = self._known[stem]
            if known == target:
                return path.as_posix()
            number += 1
            stem = f"{source.stem}_{number}"
        path = self._place / f"{stem}{source.suffix}"
        path.symlink_to(target)
        self._known[stem] = (path, target)
        return path.as_posix()

    def to_image(self, source: str | Path, pixel_size: float) -> str:
        """Return the name of a link to an image, or of an MRC file (written beside the link) where it has another format.

        Raises
        ------
        UserError
            If the image cannot be read.
        """
        link = Path(self.to(source))
        if link.suffix.lower() in MRC_SUFFIXES:
            return link.as_posix()
        from relion4plugin.files.mrc import write_stack

        converted = link.with_suffix(".mrc")
        if not converted.is_file():
            write_stack(converted, read_images([(1, str(link))]), pixel_size)
        return converted.as_posix()

    def result_of(self, link: str, suffix: str) -> str:
        """Return what a job calls the result of an input."""
        root = output_root(self._folder, link)
        return root.with_name(root.name + suffix).as_posix()


def checked_file(name: str, what: str) -> str:
    """Return the name of a file that is there.

    Raises
    ------
    UserError
        If it is not; `what` names it.
    """
    if not Path(name).is_file():
        raise UserError(f"{what} {name}: no such file; correct it where the input was imported")
    return name
