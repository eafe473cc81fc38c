"""Several serving processes on one listening socket, each replaced when it dies or hangs.

The socket is inherited, so what waits in its queue is served by whoever lives. A child is asked over HTTP on a private unix socket
every second; when nothing has come back for :data:`HANG_S`, it hangs. One question waits that long for its answer: a child with much
to do comes to it late, and asking anew would send the question back to the end of the line. Nobody is told of the supervisor's own
death: the children see their standard input end, drain and go. Sanic's own workers are not used: it does not revive a killed one.
"""

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from core import clock
from core.log import get_logger
from lianban.app import DRAIN_S
from lianban.counters import adopt
from lianban.operations import Children

log = get_logger(__name__)
T = TypeVar("T")

PROBE_EVERY_S = 1.0
HANG_S = 2.5
START_WITHIN_S = 60.0
STEADY_S = 30.0
PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Before the next start of a child whose predecessors lived less than :data:`STEADY_S`: a storm of restarts helps nobody."""
_STARTING_EVERY_S = 0.1
_STOP_WITHIN_S = DRAIN_S + 2.0


@dataclass(eq=False)
class Child:
    """One serving process."""

    number: int
    process: Process
    probe: Path
    started_at: float
    ended: asyncio.Task[int]
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class _Slot:
    """A place that always has a child, or is about to have one."""

    child: Child | None = None
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Keeps `workers` children serving `sock`. `folder` (0700) holds their probe sockets and their counters."""

    def __init__(self, sock: socket.socket, workers: int, folder: Path, environ: Mapping[str, str]) -> None:
        self._sock = sock
        self._slots = [_Slot() for _ in range(workers)]
        self._probes = folder / "probes"
        self._counters = folder / "counters"
        for path in (self._probes, self._counters):
            path.mkdir(mode=0o700)
        self._environ = {**environ, "PROMETHEUS_MULTIPROC_DIR": str(self._counters)}
        self._alive: set[Child] = set()
        self._started = 0
        self._lost = 0

    def children(self) -> Children:
        """How many serve, should serve, were lost."""
        serving = [slot.child for slot in self._slots if slot.child and _serves(slot.child)]
        return Children(len(serving), len(self._slots), self._lost)

    async def run(self, stop: asyncio.Event, renew: asyncio.Event) -> int:
        """Keep them until `stop`; each `renew` replaces them one after the other. 0, or 1 when one had to be killed at the end."""
        for slot in self._slots:
            slot.keeper = _task(self._keep(slot))
        rolling = _task(self._roll_on(renew))
        try:
            await stop.wait()
        finally:
            log.info("supervisor.stopping", children=len(self._alive))
            self._sock.close()
            tasks = [rolling, *(slot.keeper for slot in self._slots if slot.keeper)]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            clean = await self._retire(*self._alive)
            log.info("supervisor.stopped", clean=clean)
        return 0 if clean else 1

    async def _keep(self, slot: _Slot) -> None:
        """Watch the slot's child, and put another in its place whenever it is lost."""
        hasty = 0
        while True:
            try:
                slot.child = slot.child or await self._start()
                child = slot.child
                await self._until_lost(child)
                hasty = 0 if clock.monotonic() - child.started_at > STEADY_S else hasty + 1
            except Exception as error:  # no memory, no process number, a full disk: there must be another try
                log.exception("supervisor.keeper_failed", error_type=type(error).__name__)
                hasty += 1
                if slot.child:
                    _kill(slot.child)
            self._lost += 1
            slot.child = None
            await asyncio.sleep(PAUSES_S[min(hasty, len(PAUSES_S) - 1)])

    async def _start(self) -> Child:
        self._started += 1
        number = self._started
        probe = self._probes / str(number)
        command = (sys.executable, "-m", "lianban.child", str(self._sock.fileno()), str(probe))
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, pass_fds=[self._sock.fileno()], env=self._environ
        )
        log.info("supervisor.child_started", child=number, pid=process.pid)
        child = Child(number, process, probe, clock.monotonic(), _task(process.wait()))
        self._alive.add(child)
        return child

    async def _until_lost(self, child: Child) -> None:
        """Return when the child has ended: by itself, or killed since it did not answer."""
        heard_at = clock.monotonic()
        while not child.ended.done():
            is_well = await _answers(child.probe)
            if is_well:
                heard_at = clock.monotonic()
                if not child.is_ready.is_set():
                    child.is_ready.set()
                    log.info("supervisor.child_ready", child=child.number, after_ms=_age_ms(child))
            patience_s = HANG_S if child.is_ready.is_set() else START_WITHIN_S
            if clock.monotonic() - heard_at >= patience_s:
                log.error("supervisor.child_hangs", child=child.number, pid=child.process.pid, age_ms=_age_ms(child))
                _kill(child)
            # After a silence the next probe follows at once.
            pause_s = PROBE_EVERY_S if is_well else _STARTING_EVERY_S
            await asyncio.wait({child.ended}, timeout=pause_s)
        log.error("supervisor.child_lost", child=child.number, status=child.ended.result(), age_ms=_age_ms(child))
        self._buried(child)

    async def _roll_on(self, renew: asyncio.Event) -> None:
        while True:
            await renew.wait()
            renew.clear()
            log.info("supervisor.renewing")
            try:
                for slot in self._slots:
                    if not await self._renew(slot):
                        break
                else:
                    log.info("supervisor.renewed")
            except Exception as error:
                log.exception("supervisor.renewal_failed", error_type=type(error).__name__)

    async def _renew(self, slot: _Slot) -> bool:
        """Let a successor take the slot once it serves; a successor that does not come up changes nothing."""
        successor = await self._start()
        watch, ready = _task(self._until_lost(successor)), _task(successor.is_ready.wait())
        await asyncio.wait({watch, ready}, return_when=asyncio.FIRST_COMPLETED)
        watch.cancel()
        ready.cancel()
        if not _serves(successor):
            log.error("supervisor.successor_failed", child=successor.number)
            return False
        if slot.keeper:
            slot.keeper.cancel()
            await asyncio.wait({slot.keeper})
        predecessor, slot.child = slot.child, successor
        slot.keeper = _task(self._keep(slot))
        if predecessor and predecessor in self._alive:
            await self._retire(predecessor)
        return True

    async def _retire(self, *children: Child) -> bool:
        """Tell them to drain and go; False when one did not in time and was killed."""
        for child in children:
            if child.process.stdin:
                child.process.stdin.close()
        ended = [child.ended for child in children]
        late: set[asyncio.Task[int]] = set()
        if ended:
            _, late = await asyncio.wait(ended, timeout=_STOP_WITHIN_S)
        for child in children:
            if child.ended in late:
                log.error("supervisor.child_killed", child=child.number)
                _kill(child)
                await child.ended
            log.info("supervisor.child_ended", child=child.number, status=child.ended.result())
            self._buried(child)
        return not late

    def _buried(self, child: Child) -> None:
        self._alive.discard(child)
        child.probe.unlink(missing_ok=True)
        adopt(self._counters, child.process.pid)


def _serves(child: Child) -> bool:
    return child.is_ready.is_set() and not child.ended.done()


def _kill(child: Child) -> None:
    with suppress(ProcessLookupError):
        child.process.kill()


def _age_ms(child: Child) -> int:
    return round((clock.monotonic() - child.started_at) * 1000)


async def _answers(probe: Path) -> bool:
    try:
        async with asyncio.timeout(HANG_S):
            reader, writer = await asyncio.open_unix_connection(probe)
            try:
                writer.write(b"GET /livez HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work)  # noqa: TID251 -- this process has no transactions
