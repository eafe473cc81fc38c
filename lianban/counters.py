"""The metrics of several processes, as files in one folder: ``<kind>_<process>.db``, written by :mod:`prometheus_client`.

Counters of the dead must not be lost, or sums would fall; but a file for each would grow without end. So they are added up in one.
"""

import json
import struct
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from core.log import get_logger

log = get_logger(__name__)

_ADDED = ("counter", "histogram", "summary")
_OF_THE_DEAD = "0"  # no process has this number


def render(folder: Path) -> bytes:
    """The sums over all processes, dead and alive, as Prometheus text."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    return generate_latest(registry)


def adopt(folder: Path, process: int) -> None:
    """Add the counters of a process that has ended to those of the dead before it; its gauges end with it."""
    for path in folder.glob(f"*_{process}.db"):
        kind = path.name.partition("_")[0]
        try:
            if kind in _ADDED:
                _add(folder / f"{kind}_{_OF_THE_DEAD}.db", path)
        except (OSError, ValueError, struct.error) as error:  # cut off in the middle of a write
            log.warning("counters.lost", kind=kind, error_type=type(error).__name__)
        path.unlink(missing_ok=True)


def _add(total: Path, path: Path) -> None:
    values = [(key, value) for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path))]
    for key, _ in values:
        json.loads(key)  # nothing of a broken file may come among the sums
    sums = MmapedDict(str(total))
    try:
        for key, value in values:
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    finally:
        sums.close()
