"""What one metadata file says: the common result of all parsers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relion4plugin.acquisition.fields import FIELDS
from relion4plugin.acquisition.record import AcquisitionRecord, Finding, Value

ROLES = ("movie", "single_image", "overview", "tilt_series", "fractions", "session", "header", "unknown")


@dataclass(frozen=True)
class Reading:
    """Values that a file gives.

    Attributes
    ----------
    file : str
        Path of the file.
    format : str
        'epu_image_xml', 'epu_fractions_xml', 'epu_session_dm', 'serialem_mdoc', 'mrc_fei', 'mrc', 'serialem_tiff', 'eer' or 'unknown'.
    role : str
        What the file is about, one of `ROLES`. Only 'movie' and 'header' describe a movie.
    values : mapping
        Field name (see `fields.FIELDS`) to plain value; what is not known is absent.
    keys : mapping
        Field name to the element or key it was read from.
    confidence : mapping
        Confidence of the fields that are not 'measured'.
    extra : mapping
        Other content of the file, by its own names.
    problems : tuple of str
        What could not be read, one line each.
    """

    file: str
    format: str
    role: str = "unknown"
    values: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    confidence: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Name of this kind of file, for people."""
        return SOURCES.get(self.format, "file")

    def get(self, name: str, default: Any = None) -> Any:
        """Return the plain value of a field, or `default` if the file does not give it."""
        return self.values.get(name, default)

    def value(self, name: str) -> Value:
        """Return a field's value with its provenance."""
        return Value(
            self.values[name],
            FIELDS[name].unit,
            self.source,
            self.file,
            self.keys.get(name, ""),
            self.confidence.get(name, "measured"),
        )

    def record(self) -> AcquisitionRecord:
        """Return the record of this file alone; its problems are warnings of the rule 'READ'."""
        findings = tuple(Finding("READ", "warning", "", text) for text in self.problems)
        return AcquisitionRecord({name: self.value(name) for name in self.values}, (), findings)


SOURCES = {
    "epu_image_xml": "image XML",
    "epu_fractions_xml": "fractions XML",
    "epu_session_dm": "EpuSession.dm",
    "serialem_mdoc": "mdoc",
    "mrc_fei": "MRC extended header",
    "mrc": "movie header",
    "serialem_tiff": "movie header",
    "tiff": "movie header",
    "eer": "movie header",
}
