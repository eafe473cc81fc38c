"""The open load generator, a process of its own: requests leave when they are due, however the server fares.

People do not wait for each other, so a late answer must not slow down the next request: each has its moment, and its latency counts
from that moment, not from when it could at last be sent. Speaks JSON lines like :mod:`bench.load`: ``prepare``, then ``go``.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench.load import Requests, content_length

MOST_CONNECTIONS = 3000
TICK_S = 0.001
GIVE_UP_S = 15.0
"""How long after the end an answer is still waited for."""


class Due(NamedTuple):
    """A request: when it is due after the start, of which kind, its bytes."""

    at: float
    kind: str
    content: bytes


class Answered(NamedTuple):
    """One answer: its kind, when it was due, how long after that it came, its status (0: none)."""

    kind: str
    at: float
    latency: float
    status: int


class Line(asyncio.Protocol):
    """A kept connection with at most one request in flight."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._buffer = b""
        self._due: Due | None = None
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        due, self._due = self._due, None
        self._crowd.lost(self, due)

    def send(self, due: Due) -> None:
        """Send a request; the answer goes to the crowd."""
        self._due = due
        self.transport.write(due.content)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < (whole := end + 4 + content_length(data[:end])):
            self._buffer = data
            return
        status, self._buffer = int(data[9:12]), data[whole:]
        due, self._due = self._due, None
        if due is not None:
            self._crowd.answered(self, due, status)


class Crowd:
    """All who ask in one phase."""

    def __init__(self, port: int, plan: Iterator[Due]) -> None:
        self._port = port
        self._plan = plan
        self._free: deque[Line] = deque()
        self._waiting: deque[Due] = deque()
        self._open = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._started = 0.0
        self._loop: Any = None
        self.answers: list[Answered] = []
        self.sent = 0

    async def play(self) -> None:
        """Send everything when it is due, then wait for the answers that are still out."""
        loop = self._loop = asyncio.get_running_loop()
        self._started = loop.time()
        for number, due in enumerate(self._plan):
            # What is due within a tick leaves together: a timer for each would cost as much as sending it.
            pause = self._started + due.at - loop.time()
            if pause > 0:
                await asyncio.sleep(max(pause, TICK_S))
            elif number % 50 == 0:
                await asyncio.sleep(0)
            self.sent += 1
            self._dispatch(due)
        end = loop.time() + GIVE_UP_S
        while len(self.answers) < self.sent and loop.time() < end:  # noqa: ASYNC110  answers come on many connections
            await asyncio.sleep(0.05)

    def answered(self, line: Line, due: Due, status: int) -> None:
        """An answer is whole; its connection takes the next request that waits."""
        self._note(due, status)
        if self._waiting:
            line.send(self._waiting.popleft())
        else:
            self._free.append(line)

    def lost(self, line: Line, due: Due | None) -> None:
        """A connection has ended; a request that was out on it has no answer."""
        self._open -= 1
        if line in self._free:
            self._free.remove(line)
        if due is not None:
            self._note(due, 0)

    def _note(self, due: Due, status: int) -> None:
        self.answers.append(Answered(due.kind, due.at, self._loop.time() - self._started - due.at, status))

    def _dispatch(self, due: Due) -> None:
        if self._free:
            self._free.pop().send(due)
        elif self._open < MOST_CONNECTIONS:
            self._open += 1
            task = asyncio.get_running_loop().create_task(self._connect(due))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self._waiting.append(due)

    async def _connect(self, due: Due) -> None:
        try:
            _, line = await asyncio.get_running_loop().create_connection(lambda: Line(self), "127.0.0.1", self._port)
        except OSError:
            self._open -= 1
            self._note(due, 0)
            return
        line.send(due)


def timetable(rate: float, seconds: float, kinds: Sequence[tuple[str, float]], seed: int) -> list[tuple[float, str]]:
    """Moments of a Poisson stream of `rate` a second, each with a kind drawn by its weight."""
    draw = random.Random(seed)
    names, weights = zip(*kinds, strict=True)
    moments: list[tuple[float, str]] = []
    at = draw.expovariate(rate)
    while at < seconds:
        moments.append((at, draw.choices(names, weights)[0]))
        at += draw.expovariate(rate)
    return moments


def report(answers: Sequence[Answered], seconds: float, settled_s: float) -> dict[str, Any]:
    """Counts by status and by kind, goodput (2xx a second), latencies; `settled` looks only at what was due after `settled_s`."""
    good = [answer for answer in answers if 200 <= answer.status < 300]
    in_time = [answer for answer in good if answer.at + answer.latency <= seconds]
    settled = [answer for answer in answers if answer.at >= settled_s]
    return {
        "statuses": dict(Counter(answer.status for answer in answers)),
        "kinds": {
            kind: dict(Counter(answer.status for answer in answers if answer.kind == kind))
            for kind in sorted({answer.kind for answer in answers})
        },
        "goodput": len(in_time) / seconds,
        "goodput_by_kind": {kind: count / seconds for kind, count in Counter(one.kind for one in in_time).items()},
        "good": _latencies(good),
        "refused": _latencies([answer for answer in answers if answer.status in (429, 503)]),
        "settled": _latencies(settled)
        | {"bad": sum(not 200 <= answer.status < 300 for answer in settled), "all": len(settled)},
    }


def _latencies(answers: Sequence[Answered]) -> dict[str, float]:
    """p50, p99 and worst, ms."""
    found = sorted(answer.latency * 1000 for answer in answers)
    if not found:
        return {"p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0}
    return {
        "p50_ms": found[len(found) // 2],
        "p99_ms": found[min(len(found) - 1, int(len(found) * 0.99))],
        "max_ms": found[-1],
    }


def main() -> None:
    """Read commands from standard input until it ends."""
    requests = Requests(json.loads(Path(sys.argv[1]).read_bytes()))
    plan: list[Due] = []
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {"pid": os.getpid()}
        if command["do"] == "prepare":
            used: Counter[str] = Counter(command["used"])
            plan = []
            for at, kind in timetable(command["rate"], command["seconds"], command["kinds"], command["seed"]):
                plan.append(Due(at, kind, requests.make(kind, used[kind], 1)[0]))
                used[kind] += 1
            answer["used"] = dict(used)
        else:
            crowd = Crowd(command["port"], iter(plan))
            began = time.monotonic()
            uvloop.run(crowd.play())
            answer |= report(crowd.answers, command["seconds"], command.get("settled_s", 0.0))
            answer |= {
                "sent": crowd.sent,
                "unanswered": crowd.sent - len(crowd.answers),
                "took_s": time.monotonic() - began,
            }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
