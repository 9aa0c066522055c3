"""Where a person may point to: folders that were named at the start, and nothing outside of them."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError

_WILDCARDS = "*?["


@dataclass(frozen=True)
class Places:
    """Folders, as real paths; symbolic links do not lead out of them."""

    roots: tuple[Path, ...]

    @classmethod
    def of(cls, folders: Iterable[Path]) -> "Places":
        """Return the places below some folders."""
        return cls(tuple(dict.fromkeys(folder.resolve() for folder in folders)))

    def folder(self, text: str) -> Path:
        """Return the real path of a folder that a person typed; a relative one begins at a root.

        Raises
        ------
        UserError
            If it lies outside, or is no folder.
        """
        path = self._inside(text)
        if not path.is_dir():
            raise UserError(f"there is no folder {text}")
        return path

    def file(self, text: str) -> Path:
        """Return the real path of a file that a person typed.

        Raises
        ------
        UserError
            If it lies outside, or is no file.
        """
        path = self._inside(text)
        if not path.is_file():
            raise UserError(f"there is no file {text}")
        return path

    def pattern(self, text: str) -> str:
        """Return a pattern of file names; its folder before the first wildcard lies inside.

        Raises
        ------
        UserError
            If it leads outside.
        """
        parts = Path(text).parts
        first = next((number for number, part in enumerate(parts) if any(sign in part for sign in _WILDCARDS)), max(len(parts) - 1, 0))
        if ".." in parts[first:]:
            raise UserError(f"pattern {text} goes up behind a wildcard; expected a pattern below one folder")
        folder = self.folder(os.path.join(*parts[:first]) if first else ".")
        return os.path.join(folder, *parts[first:])

    def _inside(self, text: str) -> Path:
        if not text or any(ord(sign) < 32 for sign in text):
            raise UserError("a path is empty or has control characters; expected a path")
        real = [Path(os.path.realpath(root / text)) for root in self.roots]  # an absolute path stays as it is
        inside = [path for path in real if any(path.is_relative_to(root) for root in self.roots)]
        if not inside:
            raise UserError(f"{text} is outside of the folders of this page: {', '.join(map(str, self.roots))}")
        return next((path for path in inside if path.exists()), inside[0])
