"""One picture of class averages in the order of their scores, with the selected ones framed."""

from pathlib import Path

import numpy as np
from evaluation import class_images
from PIL import Image, ImageDraw, ImageFont

from relion4plugin.files.model_star import read_class2d_results
from relion4plugin.files.star import read_star
from relion4plugin.web.images import grey_levels

TILE, FRAME, CAPTION, GAP = 84, 3, 16, 6
SELECTED, INK, PAPER = (34, 139, 84), (27, 36, 48), (255, 255, 255)


def write_class_picture(path: Path, classes: Path, selection: Path, count: int = 24, columns: int = 8) -> None:
    """Draw the best classes.

    Parameters
    ----------
    path : Path
        PNG to write; its folder is made.
    classes : Path
        Folder of the 2D classification.
    selection : Path
        Folder of the selection by score, with rank_model.star and backup_selection.star.
    count, columns : int
        Classes altogether and in a row.
    """
    results = read_class2d_results(classes)
    images, numbers = class_images(results), results.classes["n_particles"].to_numpy()
    scores = read_star(selection / "rank_model.star")["model_classes"]["rlnClassScore"].to_numpy(dtype=np.float64)
    chosen = read_star(selection / "backup_selection.star")[""]["rlnSelected"].to_numpy(dtype=int) > 0
    order = np.lexsort((-numbers, -scores))[:count]
    side, rows = TILE + 2 * FRAME, -(-len(order) // columns)
    canvas = Image.new("RGB", (columns * (side + GAP), rows * (side + CAPTION + GAP)), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for place, k in enumerate(order):
        x, y = place % columns * (side + GAP), place // columns * (side + CAPTION + GAP)
        draw.rectangle([x, y, x + side - 1, y + side - 1], fill=SELECTED if chosen[k] else PAPER)
        canvas.paste(Image.fromarray(grey_levels(images[k])).resize((TILE, TILE), Image.Resampling.BICUBIC), (x + FRAME, y + FRAME))
        score = f"{scores[k]:.2f}" if scores[k] > -900 else "no score"
        draw.text((x + FRAME, y + side), f"{score}, {numbers[k]}", INK, font)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path, optimize=True)
