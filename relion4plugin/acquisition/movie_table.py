"""The movies of a session as columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COLUMNS = (
    "movie", "name", "metadata", "acquired", "beam_shift_x", "beam_shift_y", "image_shift_x", "image_shift_y", "stage_x_um", "stage_y_um",
    "stage_z_um", "tilt_deg", "defocus_um", "dose_total_eA2", "n_frames", "exposure_s", "hole", "grid_square", "template", "shift_index",
    "optics_group",
)  # fmt: skip


@dataclass(frozen=True)
class MovieTable:
    """One row for each movie, in the order of acquisition; what is not known is None.

    `movie` is the path below the folder of movies ('' where only metadata are there), `name` what movie and metadata have in common,
    `metadata` the path of the metadata file below the session ('' where there is none). Shifts are in the units of the file, `defocus_um`
    is the one asked for where that is known (negative is underfocus), `template` the shot in the hole.
    """

    columns: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: dict.fromkeys(COLUMNS, ()))

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> "MovieTable":
        """Return the table of rows that may lack columns."""
        return cls({name: tuple([row.get(name) for row in rows]) for name in COLUMNS})

    def __len__(self) -> int:
        return len(self.columns["name"])

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        return self.columns[name]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each movie as a dictionary of its columns."""
        for values in zip(*(self.columns[name] for name in COLUMNS), strict=True):
            yield dict(zip(COLUMNS, values, strict=True))

    def with_column(self, name: str, values: Sequence[Any]) -> "MovieTable":
        """Return a table with another column in the place of `name`."""
        return MovieTable({**self.columns, name: tuple(values)})
