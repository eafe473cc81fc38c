"""Stops the engines of a test run and removes their data once its standard input ends.

The test run holds the other end: it closes it when it is done, and the kernel does when it is killed.
"""

import shutil
import sys
from pathlib import Path

from lianban.engines import EmbeddedPostgres, EmbeddedValkey


def main(root: Path) -> None:
    sys.stdin.buffer.read()
    # Both are down already when the run ended by itself.
    EmbeddedPostgres(root / "postgres", root / "run").stop()
    EmbeddedValkey(root / "valkey").stop()
    shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
