"""Which processes live, for tests that kill and look."""

from collections.abc import Callable
from pathlib import Path

import psutil


def processes_below(folder: Path) -> list[psutil.Process]:
    """Live processes that stand in `folder` or below it."""
    return select(lambda process: Path(process.cwd()).is_relative_to(folder))


def select(wanted: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """Live processes that `wanted` says yes to; a zombie is not alive."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and wanted(process):
                found.append(process)
        except psutil.Error:
            continue
    return found


def is_alive(number: int) -> bool:
    """True when a process of this number lives."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
