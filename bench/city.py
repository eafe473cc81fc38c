"""``python -m bench.city``: a city at the counter all at once. Prints the goals and what was seen.

The product runs as in production: ``serve --workers N``, a worker beside it, engines and load generator on the same machine. Requests
leave when they are due (:mod:`bench.arrivals`), so a server that falls behind is seen to.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from bench import seed
from bench.machine import Meter
from bench.world import ROOT, process, settings_for, work_for
from lianban import engines

READS = (("R", 0.55), ("payment", 0.1), ("payments", 0.1), ("messages", 0.15), ("companies", 0.1))
"""What people look at: bills of an account, how their payment fares, their payments, their messages, the companies."""
PARTS = ("burst", "overload", "notices")
READ_RATE, PAY_RATE = 580.0, 58.0
NOTICE_RATE = 300.0
P99_MS, NOTICE_P99_MS = 400.0, 250.0
GOODPUT_KEPT = 0.9
NORMAL_AFTER_S = 10.0
PRICE_S = 8.0


class City:
    """Plays phases against one port and collects what did not reach its goal."""

    def __init__(self, load: subprocess.Popen[str], meter: Meter, port: int) -> None:
        self._load = load
        self._meter = meter
        self._port = port
        self._used: dict[str, int] = {}
        self._phases = 0
        self._price = 1.0
        self.missed: list[str] = []

    def phase(self, name: str, rates: dict[str, float], seconds: float, settled_s: float = 0.0) -> dict[str, Any]:
        """`rates`: requests a second by kind. Prints a line; returns the generator's report."""
        whole = sum(rates.values())
        self._phases += 1
        kinds = [(kind, rate / whole) for kind, rate in rates.items()]
        self._used = self._ask(
            {
                "do": "prepare",
                "rate": whole,
                "seconds": seconds,
                "kinds": kinds,
                "used": self._used,
                "seed": self._phases,
            }
        )["used"]
        before = self._meter.read()
        said = self._ask({"do": "go", "port": self._port, "seconds": seconds, "settled_s": settled_s})
        spent = self._meter.read() - before
        good, refused, took_s = said["good"], said["refused"], spent.whole / (os.cpu_count() or 1)
        said["work"] = said["goodput"] + (self._price - 1) * said["goodput_by_kind"].get("W", 0.0)
        said["spent_s"] = sum(spent.servers.values()) + spent.postgres
        print(
            f"| {name} | {whole:.0f} | {seconds:.0f} | {said['goodput']:.0f} | {said['work']:.0f} | {good['p50_ms']:.1f}"
            f" | {good['p99_ms']:.1f} | {good['max_ms']:.0f} | {refused['p99_ms']:.0f} | {sum(spent.servers.values()) / took_s:.2f}"
            f" | {spent.postgres / took_s:.2f} | {spent.load / took_s:.2f} | {spent.other / took_s:.2f} | {_counts(said)} |",
            flush=True,
        )
        return said

    def measure_price(self) -> None:
        """Find what a payment costs, in reads: processor time of servers, worker and database, each kind by itself, many at once."""
        reads = self.phase("reads alone", {kind: READ_RATE * 2 * share for kind, share in READS}, PRICE_S)
        payments = self.phase("payments alone", {"W": PAY_RATE * 3}, PRICE_S)
        self._price = (payments["spent_s"] / payments["sent"]) / (reads["spent_s"] / reads["sent"])
        print(f"a payment costs as much as {self._price:.1f} reads", flush=True)

    def goal(self, words: str, reached: bool) -> None:
        """Note a goal, whether it was reached or not."""
        print(f"{'reached' if reached else 'MISSED'}: {words}", flush=True)
        if not reached:
            self.missed.append(words)

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._load.stdin
        assert self._load.stdout
        self._load.stdin.write(json.dumps(command) + "\n")
        self._load.stdin.flush()
        line = self._load.stdout.readline()
        if not line:
            raise SystemExit("the load generator has ended")
        return json.loads(line)


def main() -> int:
    """Run the phases; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="bench.city", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=float(os.environ.get("BENCH_CITY_S", "300")), help="of the burst"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "bench", help="folder of data and keys")
    parser.add_argument("--port", type=int, default=19700)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    var_dir = Path(os.path.abspath(arguments.var))
    with engines.locked(var_dir / "bench.lock"), engines.running(var_dir, {}) as addresses, ExitStack() as stack:
        settings = settings_for(var_dir, arguments.port, addresses)
        asyncio.run(seed.seed(settings.database_url, var_dir))
        asyncio.run(seed.reset(settings.database_url))
        (var_dir / "work.json").write_text(json.dumps(work_for(var_dir, settings)))
        serve = ["serve", "--workers", str(arguments.workers), "--port", str(arguments.port), "--ops-port", "0"]
        api = stack.enter_context(process(_program(*serve), arguments.port, var_dir, "city-api"))
        worker = stack.enter_context(process(_program("worker"), 0, var_dir, "city-worker"))
        load = stack.enter_context(_load(var_dir))
        city = City(load, Meter({"api": api.pid, "worker": worker.pid}, load.pid, var_dir), arguments.port)
        columns = "phase", "offered/s", "s", "good/s", "work/s", "p50 ms", "p99 ms", "worst ms", "refused p99 ms"
        columns += "servers", "database", "load", "other", "statuses"
        print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
        city.phase("warm-up", _mix(0.5), 10)
        if "burst" in arguments.parts:
            _burst(city, arguments.seconds)
        if "overload" in arguments.parts:
            city.measure_price()
            _overload(city)
        if "notices" in arguments.parts:
            _notices(city, settings.database_url)
    return 1 if city.missed else 0


def _burst(city: City, seconds: float) -> None:
    burst = city.phase("burst", _mix(1), seconds)
    fine = sum(count for status, count in burst["statuses"].items() if status in ("200", "201"))
    city.goal(
        f"burst: p99 {burst['good']['p99_ms']:.0f} ms under {P99_MS:.0f}, {burst['sent'] - fine} of {burst['sent']} not answered well",
        burst["good"]["p99_ms"] < P99_MS and fine == burst["sent"],
    )


def _overload(city: City) -> None:
    below = [city.phase(f"× {factor:g}", _mix(factor), 15) for factor in (1.5, 2, 2.5)]
    thrice = city.phase("× 3", _mix(3), 30)
    city.phase("after × 3", _mix(1), 10)
    tenfold = city.phase("× 10", _mix(10), 20)
    after = city.phase("after × 10", _mix(1), NORMAL_AFTER_S + 20, settled_s=NORMAL_AFTER_S)
    best = {measure: max(phase[measure] for phase in (*below, thrice)) for measure in ("goodput", "work")}
    for name, phase in (("× 3", thrice), ("× 10", tenfold)):
        kept = phase["work"] / best["work"]
        counted = phase["goodput"] / best["goodput"]
        city.goal(
            f"{name} keeps {kept:.0%} of the best goodput by work ({best['work']:.0f} reads/s), {counted:.0%} by count"
            f" ({best['goodput']:.0f}/s)",
            kept >= GOODPUT_KEPT,
        )
    settled = after["settled"]
    city.goal(
        f"{NORMAL_AFTER_S:.0f} s after × 10: p99 {settled['p99_ms']:.0f} ms, {settled['bad']} of {settled['all']} not answered well",
        settled["p99_ms"] < P99_MS and settled["bad"] == 0,
    )


def _notices(city: City, database_url: str) -> None:
    before = asyncio.run(_count(database_url, "inbox"))
    notices = city.phase("notices", {"N": NOTICE_RATE}, 60)
    stored = asyncio.run(_count(database_url, "inbox")) - before
    accepted = notices["statuses"].get("204", 0)
    city.goal(
        f"notices: p99 {notices['good']['p99_ms']:.0f} ms under {NOTICE_P99_MS:.0f}; {notices['sent']} sent, {accepted} accepted, {stored} stored",
        notices["good"]["p99_ms"] < NOTICE_P99_MS and notices["sent"] == accepted == stored,
    )
    drained_s = asyncio.run(_drained(database_url))
    print(f"the worker had processed all of them {drained_s:.0f} s after the last one", flush=True)


def _mix(factor: float) -> dict[str, float]:
    """Reads and payments, `factor` times as many as in the burst."""
    return {kind: READ_RATE * share * factor for kind, share in READS} | {"W": PAY_RATE * factor}


def _counts(said: dict[str, Any]) -> str:
    counts = [f"{status}: {count}" for status, count in sorted(said["statuses"].items())]
    return ", ".join([*counts, f"none: {said['unanswered']}"] if said["unanswered"] else counts)


async def _count(database_url: str, table: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchval(f"select count(*) from {table}")
    finally:
        await connection.close()


async def _drained(database_url: str, within_s: float = 600.0) -> float:
    """How long it takes until the worker has processed every notice."""
    started = time.monotonic()
    while time.monotonic() - started < within_s:
        if await _count(database_url, "inbox where processed_at is null") == 0:
            return time.monotonic() - started
        await asyncio.sleep(0.5)
    raise SystemExit("notices lie unprocessed")


def _program(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "lianban", *arguments]


@contextmanager
def _load(var_dir: Path) -> Iterator[subprocess.Popen[str]]:
    command: Sequence[str] = [sys.executable, "-m", "bench.arrivals", str(var_dir / "work.json")]
    started = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(10)


if __name__ == "__main__":
    sys.exit(main())
