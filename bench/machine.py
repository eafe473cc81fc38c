"""What a slice cost: processor time of the servers, of PostgreSQL, and of everything else on the machine."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True, slots=True)
class Reading:
    """Processor seconds since some start: each server, PostgreSQL, the load generator, the rest of the machine; `whole` is what all
    processors offer."""

    servers: dict[str, float]
    postgres: float
    load: float
    other: float
    whole: float

    def __sub__(self, before: "Reading") -> "Reading":
        servers = {name: seconds - before.servers[name] for name, seconds in self.servers.items()}
        return Reading(
            servers,
            self.postgres - before.postgres,
            self.load - before.load,
            self.other - before.other,
            self.whole - before.whole,
        )


class Meter:
    """Reads ``/proc``. A server is its process with all its children; memory is that of the largest of them."""

    def __init__(self, servers: dict[str, int], load: int, var_dir: Path) -> None:
        self._servers = {name: psutil.Process(pid) for name, pid in servers.items()}
        self._load = psutil.Process(load)
        folder = str((var_dir / "postgres").resolve())
        self._postmaster = next(
            process
            for process in psutil.process_iter(["cmdline"])
            if process.info["cmdline"]
            and "postgres" in process.info["cmdline"][0]
            and folder in process.info["cmdline"]
        )

    def read(self) -> Reading:
        """Now."""
        servers = {name: _seconds(process) for name, process in self._servers.items()}
        postgres = _seconds(self._postmaster)
        times: Any = psutil.cpu_times()
        busy = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
        load = _seconds(self._load)
        other = busy - sum(servers.values()) - postgres - load
        return Reading(servers, postgres, load, other, time.monotonic() * (psutil.cpu_count() or 1))

    def memory_mib(self) -> dict[str, float]:
        """Resident memory of each server's largest process."""
        return {
            name: max(one.memory_info().rss for one in _tree(process)) / 2**20
            for name, process in self._servers.items()
        }


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _seconds(process: psutil.Process) -> float:
    """Processor seconds of a process and its live and past children."""
    total = 0.0
    for one in _tree(process):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
        total += times.children_user + times.children_system
    return total
