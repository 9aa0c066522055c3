"""The values that a person can correct, in sections, and what kind of input each has."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.acquisition.fields import FIELDS
from relion4plugin.acquisition.preset_schema import SESSION_OPTIONS
from relion4plugin.jobs.parameters import ParameterField, fields_of, format_value, sections_of
from relion4plugin.jobs.relion.motioncorr import MotionCorrOptions
from relion4plugin.schemes.it.options import ItOptions

MOTION = "prep__motioncorr__"
YES_NO = ("Yes", "No")
# Fields that the page shows first; all others stand under "Other metadata".
_MICROSCOPE = ("scope_name", "voltage_kV", "cs_mm", "amplitude_contrast", "magnification", "phase_plate", "slit_eV")
_MOVIES = (
    "detector_model", "mode", "movie_format", "movie_px_A", "physical_px_A", "movie_size_px", "n_frames", "frames_per_fraction",
    "movie_pattern",
)  # fmt: skip
_DOSE = ("dose_per_frame_eA2", "dose_total_eA2", "pre_exposure_eA2", "exposure_s", "dose_rate_epx_s", "eer_grouping")
_FILES = ("gain_path", "gain_needed", "defect_path", "mtf_path")
_TWINS = ("particle_size_A", "mask_px", "box_px", "small_box_px")  # fields that are options here
_MOTION_OPTIONS = ("patch_x", "patch_y", "group_frames", "first_frame_sum", "last_frame_sum", "gain_rot", "gain_flip")
_PROGRAMS = ("fn_topaz_exec", "cryolo_program")  # programs are named by presets alone
FILES = frozenset({*_FILES[2:], "gain_path", "topaz_model", "cryolo_model", "iniref", "ctffind_mics"})
MAY_BE_EMPTY = (FILES | {"gpus"}) - {"ctffind_mics"}  # elsewhere an empty input takes back a correction
_KINDS = {bool: "flag", int: "integer", float: "number", str: "text"}
OTHER = "Other metadata"


@dataclass(frozen=True)
class Input:
    """One value: its name, label, unit, kind (one of `fields.TYPES`), choices and help."""

    name: str
    label: str
    unit: str
    kind: str
    choices: tuple[str, ...] = ()
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is the path of a file."""
        return self.name in FILES


def _field(name: str) -> Input:
    field = FIELDS[name]
    label = field.label[:1].upper() + field.label[1:]
    return Input(name, label, field.unit, field.type, YES_NO if field.type == "flag" else ())


def _option(field: ParameterField, prefix: str = "") -> Input:
    kind = _KINDS[field.type]
    choices = YES_NO if kind == "flag" else field.choices or ()
    return Input(prefix + field.name, field.label, field.unit, kind, choices, field.help, field.minimum, field.maximum)


def _sections() -> dict[str, tuple[Input, ...]]:
    fields = {"Microscope": _MICROSCOPE, "Movies": _MOVIES, "Dose": _DOSE, "Gain, defects, MTF": _FILES}
    found = {title: tuple(map(_field, names)) for title, names in fields.items()}
    skipped = {*SESSION_OPTIONS, *_PROGRAMS}
    for title, options in sections_of(ItOptions).items():
        wanted = tuple(_option(item) for item in options if item.name not in skipped)
        if wanted:
            found[title] = wanted
    motion = {item.name: item for item in fields_of(MotionCorrOptions)}
    found["Motion correction"] = tuple(_option(motion[name], MOTION) for name in _MOTION_OPTIONS)
    shown = {name for names in fields.values() for name in names}
    found[OTHER] = tuple(_field(name) for name in FIELDS if name not in shown and name not in _TWINS)
    return found


SECTIONS: Mapping[str, tuple[Input, ...]] = _sections()
INPUTS: Mapping[str, Input] = {item.name: item for items in SECTIONS.values() for item in items}
DEFAULTS: Mapping[str, str] = {
    **{item.name: format_value(item.default) for item in fields_of(ItOptions)},
    **{MOTION + item.name: format_value(item.default) for item in fields_of(MotionCorrOptions)},
}
