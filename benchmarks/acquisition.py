"""How long a scan of a session takes: `python -m benchmarks.acquisition --images 10000`.

Real image XML of a session are copied under new names and times until there are enough. Run it with OMP_NUM_THREADS=1 for one core.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from relion4plugin.acquisition.epu_image import read_epu_image
from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.session import scan_session

_PER_SQUARE = 500


def make_session(samples: list[Path], images: int, root: Path, first: int = 0) -> Path:
    """Write image XML number `first` to `images`, copies of `samples`, in squares of 500."""
    contents = [path.read_bytes() for path in samples]
    for number in range(first, images):
        data = root / "session" / "Images-Disc1" / f"GridSquare_{1000 + number // _PER_SQUARE}" / "Data"
        data.mkdir(parents=True, exist_ok=True)
        day, rest = divmod(number * 7, 86400)
        stamp = f"202002{6 + day:02d}_{rest // 3600:02d}{rest % 3600 // 60:02d}{rest % 60:02d}"
        template = samples[number % len(samples)].name.split("_")[3]
        (data / f"FoilHole_{number // 3}_Data_{template}_{number}_{stamp}.xml").write_bytes(contents[number % len(contents)])
    return root / "session"


def _timed(label: str, call: Callable[[], int]) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    result = call()
    print(f"{label:42s} {time.perf_counter() - start:7.2f} s, processor {time.process_time() - cpu:6.2f} s   {result}")


def main() -> None:
    """Print the times of a first scan, a scan without changes, and one with ten new files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=Path, required=True, help="folder with image XML of a session of EPU")
    parser.add_argument("--images", type=int, default=10000)
    options = parser.parse_args()
    samples = sorted(path for path in options.samples.rglob("*_Data_*.xml") if "ractions" not in path.name)
    with tempfile.TemporaryDirectory() as folder:
        session = make_session(samples, options.images, Path(folder))
        index = Path(folder) / "index.sqlite"
        files = sorted(session.rglob("*.xml"))
        _timed("parse all files", lambda: sum(read_epu_image(path).role == "movie" for path in files))
        _timed("first scan, index on disk", lambda: len(scan_session(session, index=index).movies))
        _timed("scan without changes, index from disk", lambda: len(scan_session(session, index=index).movies))
        kept = MetadataIndex(index)
        _timed("scan without changes, index in memory", lambda: len(scan_session(session, index=kept).movies))
        make_session(samples, options.images + 10, Path(folder), options.images)
        _timed("scan with ten new files, index in memory", lambda: len(scan_session(session, index=kept).movies))


if __name__ == "__main__":
    main()
