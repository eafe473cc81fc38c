"""Named points between any two commits, and between a commit and a call, at which a test kills the process.

``LIANBAN_FAILPOINTS=name`` (dev and test only) kills this process with SIGKILL the first time it passes `name`; the name is first
appended to ``LIANBAN_FAILPOINT_LOG`` so that the test knows the point was really hit and passes it from then on, in this process's
successor too. ``LIANBAN_FAILPOINTS=@file`` takes the names from a file that is read at every point, so that a running process can be
armed. Without the variable a point costs one look at a module variable.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

_armed: Callable[[], set[str]] | None = None
_log: Path | None = None


def arm(names: str, log: str) -> None:
    """Arm the points of the comma-separated `names`, or of the file ``@path``, unless `log` says they were hit before."""
    global _armed, _log
    _log = Path(log)
    if names.startswith("@"):
        file = Path(names.removeprefix("@"))
        _armed = lambda: _words(file) - _hit()  # noqa: E731
    else:
        fixed = set(names.split(",")) - {""} - _hit()
        _armed = lambda: fixed  # noqa: E731


def failpoint(name: str) -> None:
    """Die here if the test said so."""
    if _armed is not None and name in _armed():
        assert _log is not None
        with _log.open("a") as file:
            file.write(name + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.kill(os.getpid(), signal.SIGKILL)


def _hit() -> set[str]:
    assert _log is not None
    return _words(_log)


def _words(path: Path) -> set[str]:
    return set(path.read_text().replace(",", " ").split()) if path.exists() else set()
