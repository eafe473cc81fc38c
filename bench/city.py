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


class City:
    """Plays phases against one port and collects what did not reach its goal."""

    def __init__(self, load: subprocess.Popen[str], port: int) -> None:
        self._load = load
        self._port = port
        self._used: dict[str, int] = {}
        self._phases = 0
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
        said = self._ask({"do": "go", "port": self._port, "seconds": seconds, "settled_s": settled_s})
        good, refused = said["good"], said["refused"]
        print(
            f"| {name} | {whole:.0f} | {seconds:.0f} | {said['goodput']:.0f} | {good['p50_ms']:.1f} | {good['p99_ms']:.1f}"
            f" | {good['max_ms']:.0f} | {refused['p99_ms']:.0f} | {_counts(said)} |",
            flush=True,
        )
        return said

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
        stack.enter_context(process(_program(*serve), arguments.port, var_dir, "city-api"))
        stack.enter_context(process(_program("worker"), 0, var_dir, "city-worker"))
        city = City(stack.enter_context(_load(var_dir)), arguments.port)
        print("| phase | offered/s | s | good/s | p50 ms | p99 ms | worst ms | refused p99 ms | statuses |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        city.phase("warm-up", _mix(0.5), 10)
        if "burst" in arguments.parts:
            _burst(city, arguments.seconds)
        if "overload" in arguments.parts:
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
    best = max(city.phase(f"× {factor:g}", _mix(factor), 15)["goodput"] for factor in (1.5, 2, 2.5))
    thrice = city.phase("× 3", _mix(3), 30)
    city.phase("after × 3", _mix(1), 10)
    tenfold = city.phase("× 10", _mix(10), 20)
    after = city.phase("after × 10", _mix(1), NORMAL_AFTER_S + 20, settled_s=NORMAL_AFTER_S)
    best = max(best, thrice["goodput"])
    for name, phase in (("× 3", thrice), ("× 10", tenfold)):
        kept = phase["goodput"] / best
        city.goal(f"{name} keeps {kept:.0%} of the best goodput ({best:.0f}/s)", kept >= GOODPUT_KEPT)
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
