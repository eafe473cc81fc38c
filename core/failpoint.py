"""Named points between any two commits, and between a commit and a call, at which a test kills the process.

``LIANBAN_FAILPOINTS=name`` (dev and test only) kills this process with SIGKILL the first time it passes `name`; the name is first
appended to ``LIANBAN_FAILPOINT_LOG`` so that the test knows the point was really hit and the next start passes it. Without the
variable a point costs one attribute look-up.
"""

import os
import signal
from pathlib import Path

_armed: frozenset[str] = frozenset()
_log: Path | None = None


def arm(names: str, log: str) -> None:
    """Arm the points of the comma-separated `names`, unless `log` says they were hit before."""
    global _armed, _log
    _log = Path(log)
    done = set(_log.read_text().split()) if _log.exists() else set()
    _armed = frozenset(names.split(",")) - done - {""}


def failpoint(name: str) -> None:
    """Die here if the test said so."""
    if name in _armed:
        assert _log is not None
        with _log.open("a") as file:
            file.write(name + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.kill(os.getpid(), signal.SIGKILL)
