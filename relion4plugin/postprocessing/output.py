"""Files of a post-processing: maps, postprocess.star, and the FSC curve as XML (EMDB) and plain text."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from relion4plugin.files.atomic import atomic_path, atomic_write_text
from relion4plugin.files.mrc import write_volume
from relion4plugin.imaging.filters import NO_RESOLUTION
from relion4plugin.postprocessing.maps import HalfMaps
from relion4plugin.postprocessing.postprocess import PostprocessResult

if TYPE_CHECKING:
    import pandas as pd


def write_results(result: PostprocessResult, halves: HalfMaps, mask_name: str, root: Path, comment: str = "") -> dict[str, Path]:
    """Write all files of a result.

    Parameters
    ----------
    result : PostprocessResult
        What was computed.
    halves : HalfMaps
        Its input.
    mask_name : str
        File name of the mask; "" without one.
    root : Path
        Start of all file names, for example ``PostProcess/job010/postprocess``.
    comment : str
        Text for the top of the STAR file.

    Returns
    -------
    dict of str to Path
        ``map``, ``masked`` (only with a mask), ``star``, ``xml`` and ``dat``.
    """
    named = {key: root.with_name(root.name + end) for key, end in _ENDINGS.items()}
    write_volume(named["map"], result.volume, result.pixel_size)
    if result.masked is None:
        del named["masked"]
    else:
        write_volume(named["masked"], result.masked, result.pixel_size)
    tables = star_tables(result, halves, mask_name, {key: path.as_posix() for key, path in named.items()})
    _write_xml(named["xml"], tables["fsc"])
    _write_dat(named["dat"], tables["fsc"])
    from relion4plugin.files.star import write_star

    write_star(named["star"], tables, comment=comment)
    return named


_ENDINGS = {"map": ".mrc", "masked": "_masked.mrc", "star": ".star", "xml": "_fsc.xml", "dat": "_fsc.dat"}


def star_tables(result: PostprocessResult, halves: HalfMaps, mask_name: str, names: dict[str, str]) -> dict[str, Any]:
    """Return the tables general, fsc and guinier of postprocess.star with RELION's labels."""
    import pandas as pd

    curves, n = result.curves, halves.box
    extent = n * halves.pixel_size
    general: dict[str, Any] = {
        "rlnFinalResolution": curves.resolution,
        "rlnBfactorUsedForSharpening": result.bfactor,
        "rlnUnfilteredMapHalf1": halves.first_path.as_posix(),
        "rlnUnfilteredMapHalf2": halves.second_path.as_posix(),
        "rlnPostprocessedMap": names["map"],
    }
    if curves.masked is not None:
        general["rlnParticleBoxFractionSolventMask"] = curves.box_fraction
        general["rlnPostprocessedMapMasked"] = names["masked"]
        general["rlnMaskName"] = mask_name
    if curves.random_from is not None:
        general["rlnRandomiseFrom"] = extent / curves.random_from
    if result.fit is not None:
        general["rlnFittedSlopeGuinierPlot"] = result.fit.slope
        general["rlnFittedInterceptGuinierPlot"] = result.fit.intercept
        general["rlnCorrelationFitGuinierPlot"] = result.fit.r_squared
    shells = np.arange(n // 2 + 1)
    angstrom = np.append(NO_RESOLUTION, extent / shells[1:])
    columns: dict[str, Any] = {
        "rlnSpectralIndex": shells,
        "rlnResolution": 1 / angstrom,
        "rlnAngstromResolution": angstrom,
        "rlnFourierShellCorrelationCorrected": curves.corrected,
        "rlnFourierShellCorrelationParticleMaskFraction": curves.particle,
        "rlnFourierShellCorrelationUnmaskedMaps": curves.unmasked,
        "rlnFourierShellCorrelationMaskedMaps": curves.masked,
        "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps": curves.randomised,
    }
    fsc = pd.DataFrame({label: values for label, values in columns.items() if values is not None})
    return {"general": general, "fsc": fsc, "guinier": _guinier_table(result, extent)}


def _guinier_table(result: PostprocessResult, extent: float) -> "pd.DataFrame":
    import pandas as pd

    plot = result.guinier
    columns: dict[str, Any] = {
        "rlnResolutionSquared": (np.arange(len(plot.original)) / extent) ** 2,
        "rlnLogAmplitudesOriginal": plot.original,
        "rlnLogAmplitudesMTFCorrected": plot.mtf_corrected,
        "rlnLogAmplitudesWeighted": plot.weighted,
        "rlnLogAmplitudesSharpened": plot.sharpened,
        "rlnLogAmplitudesIntercept": None if result.fit is None else np.full(len(plot.original), result.fit.intercept),
    }
    return pd.DataFrame({label: values for label, values in columns.items() if values is not None})


def _write_xml(path: Path, fsc: "pd.DataFrame") -> None:
    """Write the quoted curve in the form that EMDB's deposition takes."""
    title = "masked-corrected FSC" if "rlnFourierShellCorrelationMaskedMaps" in fsc else "unmasked FSC"
    root = ElementTree.Element("fsc", title=title, xaxis="Resolution (A-1)", yaxis="Correlation Coefficient")
    for x, y in zip(fsc["rlnResolution"], fsc["rlnFourierShellCorrelationCorrected"], strict=True):
        coordinate = ElementTree.SubElement(root, "coordinate")
        ElementTree.SubElement(coordinate, "x").text = f"{x:.6g}"
        ElementTree.SubElement(coordinate, "y").text = f"{y:.6g}"
    ElementTree.indent(root)
    with atomic_path(path) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def _write_dat(path: Path, fsc: "pd.DataFrame") -> None:
    """Write all curves as columns, with their labels in the first line."""
    columns = [label for label in fsc if label not in ("rlnSpectralIndex", "rlnAngstromResolution")]
    rows = fsc[columns].to_numpy(dtype=np.float64)
    lines = ["# " + " ".join(str(label) for label in columns), *(" ".join(f"{value:.6f}" for value in row) for row in rows)]
    atomic_write_text(path, "\n".join(lines) + "\n")
