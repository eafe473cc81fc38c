"""``python -m bench``: ours beside the raw comparator, slice by slice in turn; prints the table of README.md.

Everything it needs is made under ``var/bench`` and stopped at the end. The data stay there for the next run.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench import seed
from bench.load import Requests
from bench.machine import Meter
from bench.report import Slot, table
from bench.verify import Sample, verify
from bench.world import ROOT, process, settings_for, work_for
from core.settings import Settings
from lianban import engines

WORKLOADS = ("R", "W", "N")
ALONE = ("--workers", "0", "--ops-port", "0")
"""One process on either side, and the one that is measured."""
WARM_UP_S = {"R": 8.0, "W": 1.0, "N": 1.0}


def main() -> int:
    """Run the bench; 1 when an answer or a row was wrong."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("BENCH_ROUNDS", "5")))
    parser.add_argument("--slice", type=float, default=float(os.environ.get("BENCH_SLICE_S", "2")), help="seconds")
    parser.add_argument("--workloads", default="".join(WORKLOADS), help="which of R, W and N (default: RWN)")
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "bench", help="folder of data and keys")
    parser.add_argument("--port", type=int, default=19700, help="the first of the two servers' ports")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    var_dir = Path(os.path.abspath(arguments.var))
    with engines.locked(var_dir / "bench.lock"), engines.running(var_dir, {}) as addresses:
        settings = settings_for(var_dir, arguments.port, addresses)
        started = time.monotonic()
        if asyncio.run(seed.seed(settings.database_url, var_dir)):
            print(f"seeded {seed.MONTHS * seed.ACCOUNTS:,} bills in {time.monotonic() - started:.0f} s", flush=True)
        asyncio.run(seed.reset(settings.database_url))
        return _bench(arguments, var_dir, settings)


def _bench(arguments: argparse.Namespace, var_dir: Path, settings: Settings) -> int:
    (var_dir / "work.json").write_text(json.dumps(work_for(var_dir, settings)))
    with ExitStack() as stack:
        servers = {
            "ours": [sys.executable, "-m", "lianban", "serve", *ALONE, "--port", str(arguments.port)],
            "raw": [sys.executable, str(ROOT / "bench" / "raw.py"), str(arguments.port + 1)],
        }
        ports = {name: arguments.port + number for number, name in enumerate(servers)}
        processes = {
            name: stack.enter_context(process(command, ports[name], var_dir, name)) for name, command in servers.items()
        }
        load = stack.enter_context(_load(var_dir))
        run = Run(load, ports, Meter({name: process.pid for name, process in processes.items()}, load.pid, var_dir))
        workloads = [workload for workload in WORKLOADS if workload in arguments.workloads]
        for name in servers:
            for workload in workloads:
                run.slice(name, workload, WARM_UP_S[workload], 4 * seed.ACTIVE if workload == "R" else 1500)
        slots: list[Slot] = []
        for number in range(arguments.rounds):
            for workload in workloads:
                turn = list(servers) if number % 2 == 0 else list(reversed(servers))
                slots += [run.slice(name, workload, arguments.slice) for name in turn]
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
        memory = run.meter.memory_mib()
        work = json.loads((var_dir / "work.json").read_bytes())
        wrong = asyncio.run(verify(settings, ports, run.good, run.samples, Requests(work)))
    print(table(slots, memory, arguments.slice))
    errors = sum(slot.errors for slot in slots)
    print("\n".join([f"{errors} errors", *(wrong or ["answers and rows written are right"])]))
    return 1 if wrong or errors else 0


class Run:
    """Plays slices one after the other and remembers what was answered."""

    def __init__(self, load: subprocess.Popen[str], ports: dict[str, int], meter: Meter) -> None:
        self._load = load
        self._ports = ports
        self.meter = meter
        self._used: dict[str, int] = dict.fromkeys(WORKLOADS, 0)
        self._rates: dict[tuple[str, str], float] = {}
        self.good: dict[str, int] = dict.fromkeys(WORKLOADS, 0)
        self.samples: list[Sample] = []

    def slice(self, server: str, workload: str, seconds: float, count: int | None = None) -> Slot:
        """One slice of `workload` on `server`; as many requests are made ready as the last rate lets expect, and more."""
        count = count or int(self._rates[server, workload] * seconds * (1.6 if workload == "N" else 2.5)) + 200
        first = self._used[workload]
        if workload == "W":
            count = min(count, seed.QUOTES - first)
        self._ask({"do": "prepare", "workload": workload, "first": first, "count": count})
        before = self.meter.read()
        said = self._ask({"do": "go", "workload": workload, "port": self._ports[server], "seconds": seconds})
        spent = self.meter.read() - before
        self._used[workload] += said["sent"]
        self._rates[server, workload] = said["rate"]
        self.good[workload] += said["good"]
        self.samples += [Sample(server, workload, first + number, body) for number, body in said["samples"]]
        if said["errors"]:
            print(f"{server} {workload}: {said['statuses']} {said['samples'][-1][1][:300]}", file=sys.stderr)
        answered = sum(said["statuses"].values()) or 1
        return Slot(
            server, workload, said["rate"], spent.servers[server] / answered * 1e6, spent.postgres / answered * 1e6,
            said["p50_ms"], said["p99_ms"], spent.other / spent.whole, answered, said["errors"],
        )  # fmt: skip

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._load.stdin
        assert self._load.stdout
        self._load.stdin.write(json.dumps(command) + "\n")
        self._load.stdin.flush()
        line = self._load.stdout.readline()
        if not line:
            raise SystemExit("the load generator has ended")
        return json.loads(line)


@contextmanager
def _load(var_dir: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.load", str(var_dir / "work.json")]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
