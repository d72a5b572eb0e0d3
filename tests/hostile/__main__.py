"""Write all books into a folder that is made for them."""

from __future__ import annotations

import sys
from pathlib import Path

from .books import write_all

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    for path in write_all(folder):
        print(path)
