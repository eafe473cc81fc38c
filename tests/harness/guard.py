"""Stops the engines of a test run and removes their data once its standard input ends.

The test run holds the other end: it closes it when it is done, and the kernel does when it is killed.
"""

import shutil
import sys
import time
from pathlib import Path

from lianban.engines import EmbeddedPostgres, EmbeddedValkey

_TRIES, _PAUSE_S = 100, 0.2


def main(root: Path) -> None:
    sys.stdin.buffer.read()
    # Both are down already when the run ended by itself.
    EmbeddedPostgres(root / "postgres", root / "run").stop()
    EmbeddedValkey(root / "valkey").stop()
    for _ in range(_TRIES):  # a process that is just going may still write
        shutil.rmtree(root, ignore_errors=True)
        if not root.exists():
            return
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
