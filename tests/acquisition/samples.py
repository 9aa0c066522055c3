"""Samples of metadata made by tests: an image XML of EPU as a template, tree builders, and names of expected values."""

from pathlib import Path

SO = "http://schemas.datacontract.org/2004/07/Fei.SharedObjects"
AR = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
OM = "http://schemas.datacontract.org/2004/07/Fei.Applications.Common.Omp.Interface"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

# Name in the expected values -> field of the record.
FIELD_OF = {
    "software": "software",
    "software_version": "software_version",
    "instrument_id": "scope_id",
    "instrument_model": "scope_model",
    "voltage_kV": "voltage_kV",
    "nominal_magnification": "magnification",
    "xml_pixel_A": "image_px_A",
    "binning": "binning",
    "super_resolution_factor": "super_resolution_factor",
    "movie_pixel_A": "movie_px_A",
    "detector": "detector",
    "detector_commercial_name": "detector_model",
    "electron_counting": "counting",
    "readout": "readout_px",
    "fractionation": "fractionation",
    "n_fractions": "n_frames",
    "exposure_s": "exposure_s",
    "detector_exposure_s": "exposure_actual_s",
    "dose_total_e_per_A2": "dose_total_eA2",
    "dose_on_camera_e_per_px": "dose_on_camera_epx",
    "dose_rate_e_per_px_s": "dose_rate_image_epx_s",
    "dose_per_fraction_e_per_A2": "dose_per_frame_eA2",
    "frame_rate_Hz": "frame_rate_Hz",
    "applied_defocus_um": "defocus_target_um",
    "energy_slit_eV": "slit_eV",
    "spot_index": "spot",
    "gun_lens": "gun_lens",
    "beam_diameter_um": "beam_diameter_um",
    "objective_aperture": "obj_aperture",
    "phase_plate": "phase_plate",
    "beam_shift": "beam_shift",
    "image_shift": "image_shift",
    "beam_tilt": "beam_tilt",
    "stage_um": "stage_um",
    "acquired": "acquired",
    "eer_frames_estimate": "n_frames",
}


def pair_of(key: str, value: str) -> str:
    """Return one entry of a list of keys and values."""
    return f"<a:KeyValueOfstringanyType><a:Key>{key}</a:Key><a:Value>{value}</a:Value></a:KeyValueOfstringanyType>"


def image_xml(
    fractions: str = "<o:NumberOffractions>40</o:NumberOffractions>", shift: tuple[float, float] = (0.0, 0.0), dose: float = 40e20,
    camera: str = "EF-CCD", voltage: int = 300000, pixel: float = 1e-10, acquired: str = "2024-05-01T10:00:00.1234567+02:00",
    counting: str = "true", sr: int = 1, custom: str = "", more_input: str = "", version: str = "3.5.0.1", kind: str = "o:X",
    size: tuple[int, int] = (5760, 4092), binning: int = 1,
) -> str:  # fmt: skip
    """Return an image XML with the elements that matter, in the layout of EPU."""
    area = pixel * pixel * 1e20
    settings = f'<a:Value i:type="{kind}">{fractions}</a:Value>'
    return (
        f'<MicroscopeImage xmlns="{SO}" xmlns:i="{INSTANCE}" xmlns:a="{AR}" xmlns:o="{OM}" '
        'xmlns:t="http://schemas.datacontract.org/2004/07/Fei.Types" xmlns:d="http://schemas.datacontract.org/2004/07/System.Drawing">'
        f"<CustomData>{pair_of('Dose', repr(dose))}{pair_of('DoseOnCamera', repr(dose * 1e-20 * area))}"
        f"{pair_of('AppliedDefocus', '-1E-06')}{custom}</CustomData>"
        f"<SpatialScale><pixelSize><x><numericValue>{pixel!r}</numericValue></x></pixelSize></SpatialScale>"
        f"<microscopeData><acquisition><acquisitionDateTime>{acquired}</acquisitionDateTime><camera>"
        f"<Binning><d:x>{binning}</d:x><d:y>{binning}</d:y></Binning><CameraSpecificInput>"
        f"<a:KeyValueOfstringanyType><a:Key>FractionationSettings</a:Key>{settings}</a:KeyValueOfstringanyType>"
        f"{pair_of('ElectronCountingEnabled', counting)}{pair_of('SuperResolutionFactor', str(sr))}{more_input}</CameraSpecificInput>"
        f"<ExposureTime>2</ExposureTime><Name>{camera}</Name>"
        f"<ReadoutArea><d:height>{size[1]}</d:height><d:width>{size[0]}</d:width></ReadoutArea></camera></acquisition>"
        f"<core><ApplicationSoftware>EPU</ApplicationSoftware><ApplicationSoftwareVersion>{version}</ApplicationSoftwareVersion></core>"
        f"<gun><AccelerationVoltage>{voltage}</AccelerationVoltage></gun><instrument><InstrumentID>1234</InstrumentID></instrument>"
        f"<optics><BeamShift><t:_x>{shift[0]!r}</t:_x><t:_y>{shift[1]!r}</t:_y></BeamShift>"
        "<TemMagnification><NominalMagnification>100000</NominalMagnification></TemMagnification></optics>"
        "</microscopeData></MicroscopeImage>"
    )


def write(path: Path, text: str) -> Path:
    """Write a text file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def data_stem(number: int, template: int = 7) -> str:
    """Return the name of a data image."""
    return f"FoilHole_{100 + number}_Data_{template}_{template + 2}_20240501_10{number // 60:02d}{number % 60:02d}"


def acquired(number: int) -> str:
    """Return the time of acquisition that goes with `data_stem`."""
    return f"2024-05-01T10:{number // 60:02d}:{number % 60:02d}.0000000+02:00"


def epu_session(root: Path, n: int = 6, name: str = "session", **changes: object) -> Path:
    """Write a session of EPU with `n` images; return its folder."""
    data = root / name / "Images-Disc1" / "GridSquare_11" / "Data"
    for number in range(n):
        write(data / f"{data_stem(number)}.xml", image_xml(acquired=acquired(number), **changes))  # type: ignore[arg-type]
    return root / name


def close(one: object, other: object, relative: float = 1e-4) -> bool:
    """Compare a value with an expected one, which was rounded."""
    if isinstance(other, list | tuple):
        return (
            isinstance(one, list | tuple) and len(one) == len(other) and all(close(a, b, relative) for a, b in zip(one, other, strict=True))
        )
    if isinstance(other, bool) or isinstance(other, str):
        return one == other
    if isinstance(other, int | float) and isinstance(one, int | float):
        return abs(one - other) <= relative * max(abs(other), 1e-9)
    return one == other
