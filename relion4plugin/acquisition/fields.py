"""The fields of an acquisition record: unit, type and label of each.

Pixel sizes: the *image* pixel is that of the summed image that the microscope's software describes (binned), the *physical*
pixel that of the sensor, the *movie* pixel that of the stored frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass

TYPES = ("text", "integer", "number", "flag", "numbers", "integers")


@dataclass(frozen=True)
class Field:
    """Unit (empty for none), type (one of `TYPES`) and label for people."""

    unit: str
    type: str
    label: str


FIELDS: Mapping[str, Field] = {
    "software": Field("", "text", "software"),
    "software_version": Field("", "text", "software version"),
    "session": Field("", "text", "session"),
    "scope_id": Field("", "text", "microscope id"),
    "scope_name": Field("", "text", "microscope"),
    "scope_model": Field("", "text", "microscope model"),
    "voltage_kV": Field("kV", "number", "voltage"),
    "cs_mm": Field("mm", "number", "spherical aberration"),
    "amplitude_contrast": Field("", "number", "amplitude contrast"),
    "magnification": Field("", "integer", "nominal magnification"),
    "movie_px_A": Field("A", "number", "pixel of the movie"),
    "physical_px_A": Field("A", "number", "physical pixel"),
    "image_px_A": Field("A", "number", "pixel of the summed image"),
    "binning": Field("", "number", "binning"),
    "super_resolution": Field("", "flag", "super-resolution"),
    "super_resolution_factor": Field("", "integer", "super-resolution factor"),
    "movie_size_px": Field("px", "integers", "size of the frames, width and height"),
    "readout_px": Field("px", "integers", "read-out area, width and height"),
    "detector": Field("", "text", "camera"),
    "detector_model": Field("", "text", "detector"),
    "mode": Field("", "text", "mode"),
    "counting": Field("", "flag", "electron counting"),
    "cds": Field("", "flag", "correlated double sampling"),
    "movie_format": Field("", "text", "movie format"),
    "fractionation": Field("", "text", "fractionation"),
    "n_frames": Field("", "integer", "frames in the movie"),
    "frames_per_fraction": Field("", "integers", "camera frames per fraction"),
    "frame_rate_Hz": Field("Hz", "number", "frame rate"),
    "eer_grouping": Field("", "integer", "camera frames per EER fraction"),
    "exposure_s": Field("s", "number", "exposure asked for"),
    "exposure_actual_s": Field("s", "number", "exposure measured"),
    "dose_total_eA2": Field("e/A^2", "number", "total dose"),
    "dose_on_camera_epx": Field("e/image px", "number", "electrons on the camera"),
    "dose_measured_epx": Field("e/image px", "number", "electrons counted in the frames"),
    "dose_rate_epx_s": Field("e/physical px/s", "number", "dose rate per physical pixel"),
    "dose_rate_image_epx_s": Field("e/image px/s", "number", "dose rate per image pixel"),
    "dose_rate_camera_epx_s": Field("e/px/s", "number", "dose rate given by the camera"),
    "dose_per_frame_eA2": Field("e/A^2", "number", "dose per frame"),
    "pre_exposure_eA2": Field("e/A^2", "number", "dose before the movie"),
    "gain_path": Field("", "text", "gain reference"),
    "gain_needed": Field("", "flag", "gain reference needed"),
    "defect_path": Field("", "text", "defect file"),
    "mtf_path": Field("", "text", "MTF file"),
    "rotation_flip": Field("", "integer", "rotation and flip of the camera"),
    "phase_plate": Field("", "flag", "phase plate"),
    "slit_eV": Field("eV", "number", "energy slit"),
    "defocus_target_um": Field("um", "number", "defocus asked for"),
    "defocus_um": Field("um", "number", "defocus of the lens"),
    "defoci_um": Field("um", "numbers", "list of defoci"),
    "spot": Field("", "integer", "spot size"),
    "gun_lens": Field("", "integer", "gun lens"),
    "beam_diameter_um": Field("um", "number", "beam diameter"),
    "c2_um": Field("um", "number", "C2 aperture"),
    "obj_aperture": Field("", "text", "objective aperture"),
    "probe": Field("", "text", "probe mode"),
    "beam_shift": Field("file units", "numbers", "beam shift"),
    "image_shift": Field("file units", "numbers", "image shift"),
    "beam_tilt": Field("file units", "numbers", "beam tilt"),
    "stage_um": Field("um", "numbers", "stage position"),
    "tilt_deg": Field("deg", "number", "stage tilt"),
    "acquired": Field("", "text", "time of acquisition"),
    "optics_group": Field("", "text", "optics group"),
    "hole": Field("", "text", "hole"),
    "grid_square": Field("", "text", "grid square"),
    "movie_path": Field("", "text", "movie"),
    "movie_pattern": Field("", "text", "movie pattern"),
    "clustering": Field("", "text", "clustering of holes"),
    "shots_per_hole": Field("", "integer", "shots per hole"),
    "output_format": Field("", "text", "output format of the camera"),
    "particle_size_A": Field("A", "number", "particle size"),
    "mask_px": Field("px", "integer", "mask"),
    "box_px": Field("px", "integer", "box"),
    "small_box_px": Field("px", "integer", "downscaled box"),
}
