"""A program that takes Topaz's options and picks the darkest pixel of each image."""

import sys
from pathlib import Path

_SCRIPT = """#!{python}
import pathlib, shutil, sys
sys.path.insert(0, {repository!r})
import numpy as np
from relion4plugin.files.mrc import read_mrc
words = sys.argv[1:]
with open({log!r}, "a") as stream:
    stream.write(" ".join(words) + "\\n")
images = [pathlib.Path(word) for word in words if word.endswith(".mrc")]
if words[0] == "normalize":
    out = pathlib.Path(words[words.index("--destdir") + 1])
    out.mkdir()
    for image in images:
        shutil.copy(image, out / image.name)
else:
    with open(words[words.index("--output") + 1], "w") as stream:
        stream.write("image_name\\tx_coord\\ty_coord\\tscore\\n")
        for image in images:
            pixels = read_mrc(image)[0][0]
            y, x = np.unravel_index(pixels.argmin(), pixels.shape)
            stream.write(f"{{image.stem}}\\t{{x}}\\t{{y}}\\t2.5\\n")
"""


def imitated_topaz(folder: Path) -> tuple[str, ...]:
    """Write the program ``topaz`` into a folder; it notes its words in ``words.txt`` there."""
    script = folder / "topaz"
    repository = str(Path(__file__).resolve().parents[3])
    script.write_text(_SCRIPT.format(python=sys.executable, repository=repository, log=str(folder / "words.txt")))
    script.chmod(0o755)
    return (str(script),)
