"""A program that takes crYOLO's options and puts boxes about the darkest pixel of each image."""

import sys
from pathlib import Path

_SCRIPT = """#!{python}
import argparse, json, os, pathlib, sys
sys.path.insert(0, {repository!r})
import numpy as np
from relion4plugin.files.mrc import read_mrc
parser = argparse.ArgumentParser()
for name in ("-c", "-w", "-i", "-o", "-t", "-nc"):
    parser.add_argument(name, required=True)
parser.add_argument("-g", nargs="+", default=[])
parser.add_argument("--write_empty", action="store_true")
args = parser.parse_args()
config = json.loads(pathlib.Path(args.c).read_text())
images = sorted(pathlib.Path(args.i).glob("*.mrc"))
with open({log!r}, "a") as stream:
    note = dict(config=config, names=[i.name for i in images], links=[i.is_symlink() for i in images], words=sys.argv[1:], gpus=args.g)
    stream.write(json.dumps(dict(note, cwd=os.getcwd(), weights=pathlib.Path(args.w).read_text())) + "\\n")
print("loading the network")
out = pathlib.Path(args.o)
(out / "CBOX").mkdir(parents=True)
for image in images:
    pixels = read_mrc(image)[0][0]
    y, x = np.unravel_index(pixels.argmin(), pixels.shape)
    with open(out / "CBOX" / (image.stem + ".cbox"), "w") as stream:
        stream.write("\\ndata_global\\n\\n_version    1.0\\n\\n\\ndata_cryolo\\n\\nloop_\\n")
        labels = "CoordinateX CoordinateY CoordinateZ Width Height Depth EstWidth EstHeight Confidence NumBoxes Angle".split()
        stream.write("".join(f"_{{label}} #{{n}}\\n" for n, label in enumerate(labels, 1)))
        for score in (0.125, 0.875):
            stream.write(f"{{x - 20.0}} {{y - 15.0}} <NA> 40.0 30.0 <NA> 44.0 36.0 {{score}} <NA> <NA>\\n")
        stream.write("\\ndata_cryolo_include\\n\\nloop_\\n_slice_index #1\\n")
"""


def imitated_cryolo(folder: Path) -> Path:
    """Make an environment ``env`` with the program, and a network ``model.h5``; it notes what it saw in ``calls.jsonl``."""
    script = folder / "env" / "bin" / "cryolo_predict.py"
    script.parent.mkdir(parents=True)
    repository = str(Path(__file__).resolve().parents[3])
    script.write_text(_SCRIPT.format(python=sys.executable, repository=repository, log=str(folder / "calls.jsonl")))
    script.chmod(0o755)
    (folder / "model.h5").write_text("network")
    return script
