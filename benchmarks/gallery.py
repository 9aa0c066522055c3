"""Pictures of class averages of several runs in one PNG, for looking at."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from evaluation import class_images
from PIL import Image, ImageDraw, ImageFont

from relion4plugin.files.model_star import Class2DResults
from relion4plugin.web.images import grey_levels

TILE, GAP, CAPTION, TITLE, COLUMNS = 112, 8, 34, 34, 5
BACKGROUND, INK, SOFT = (255, 255, 255), (27, 36, 48), (92, 104, 120)


def write_gallery(path: Path, runs: Sequence[tuple[str, Class2DResults]], columns: int = COLUMNS) -> None:
    """Draw the classes of each run, most populated first, one block of columns beside the other.

    Parameters
    ----------
    path : Path
        PNG to write.
    runs : sequence of (str, Class2DResults)
        Title and results of each run.
    columns : int
        Tiles in a row of one block.
    """
    rows = max(-(-len(results.classes) // columns) for _, results in runs)
    block = columns * (TILE + GAP) + GAP
    canvas = Image.new("RGB", (len(runs) * block + (len(runs) - 1) * 2 * GAP, TITLE + rows * (TILE + CAPTION + GAP) + GAP), BACKGROUND)
    for index, (title, results) in enumerate(runs):
        _draw_block(canvas, index * (block + 2 * GAP) + GAP, title, results, columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path, optimize=True)


def _draw_block(canvas: Image.Image, left: int, title: str, results: Class2DResults, columns: int) -> None:
    draw = ImageDraw.Draw(canvas)
    draw.text((left, 8), title, INK, _font(17))
    images, table = class_images(results), results.classes
    counts = table["n_particles"].to_numpy()
    for place, k in enumerate(np.argsort(-counts, kind="stable")):
        x, y = left + place % columns * (TILE + GAP), TITLE + place // columns * (TILE + CAPTION + GAP)
        canvas.paste(Image.fromarray(grey_levels(images[k])).resize((TILE, TILE), Image.Resampling.BICUBIC), (x, y))
        resolution = float(table["resolution"].iloc[k])
        estimate = f"{resolution:.1f} A" if np.isfinite(resolution) and resolution < 999 else "-"
        draw.text((x, y + TILE + 2), f"{int(counts[k])} particles", INK, _font(12))
        draw.text((x, y + TILE + 17), f"{100 * float(table['distribution'].iloc[k]):.1f} %, {estimate}", SOFT, _font(12))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
