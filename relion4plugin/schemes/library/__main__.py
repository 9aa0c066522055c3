"""Write the files of the shipped schemes: ``python -m relion4plugin.schemes.library [FOLDER]``."""

import sys
from pathlib import Path

from relion4plugin.schemes.library.catalogue import shipped_folder, write_catalogue

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else shipped_folder()
    print("\n".join(str(path) for path in write_catalogue(target)))
