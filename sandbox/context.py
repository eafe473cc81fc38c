"""What every counterpart of the sandbox gets, and how a counterpart plugs in.

A counterpart is a module with two functions, called once while the sandbox is put together (before any port serves):

``mount(app, context)``
    adds its own routes to its own Sanic app (on its port, see :data:`sandbox.server.COUNTERPARTS`);
``mount_control(app, context)``
    adds its ``/control/…`` routes to the app of the base port. Bodies and answers are plain JSON; raise
    :class:`ControlError` for a request that makes no sense (it becomes ``{"error": …}`` with the given status).

In ``mount`` it also calls

- ``context.state.define(schema)`` for its tables (prefix them with the counterpart's name);
- ``context.on_reset(load)``: ``load()`` brings the tables to what the configuration says; it runs after
  ``POST /control/reset`` has emptied all tables. For the first start call it in ``mount``, guarded by "no row yet";
- ``context.on_start(begin)``: ``begin()`` (plain or async) runs when all ports serve: take up pending work
  again here.

Incoming calls go through :meth:`Context.serve`, outgoing ones through :meth:`Context.deliver`: these two apply the
fault table, count calls, and they finish the work although the client has hung up (as a real counterpart does).
Time comes from ``context.clock`` only, HTTP leaves by ``context.http`` (no redirects, no proxies, 5 s).
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, cast

import httpx
from sanic import HTTPResponse, Request

from sandbox.clock import Clock
from sandbox.faults import Faults
from sandbox.state import State

HANG_S = 60.0
"""A hanging call gets no answer within this time; then its connection is closed."""

Work = Callable[[bool], HTTPResponse | Awaitable[HTTPResponse]]
"""Does the work and answers; the argument says that the answer's signature must be wrong."""
Hook = Callable[[], Any]

log = logging.getLogger("sandbox")


class ControlError(Exception):
    """A control call that makes no sense: answered as ``{"error": text}``."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class Context:
    """The shared parts: ``config`` (the parsed file), ``state``, ``clock``, ``faults``, ``http``."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        clock_file = config.get("clock_file")
        self.clock = Clock(Path(clock_file) if clock_file else None)
        self.state = State(Path(config["state_file"]))
        self.faults = Faults(self.state)
        self.http = httpx.AsyncClient(timeout=5.0, trust_env=False, limits=httpx.Limits(max_connections=200))
        self.browsers: list[Callable[[Mapping[str, Any]], dict[str, str] | None]] = []
        """Each opens the address of a control call when it is its own, and pays there."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._start_hooks: list[Hook] = []
        self._reset_hooks: list[Hook] = []
        self._held: dict[tuple[str, str], list[asyncio.Event]] = {}

    def on_start(self, hook: Hook) -> None:
        """Run `hook` when all ports serve."""
        self._start_hooks.append(hook)

    def on_reset(self, hook: Hook) -> None:
        """Run `hook` after all tables have been emptied."""
        self._reset_hooks.append(hook)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` in the background; it ends with the sandbox, and its failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def serve(
        self,
        request: Request,
        counterpart: str,
        operation: str,
        call_id: str,
        work: Work,
        failed: Callable[[int], HTTPResponse],
    ) -> HTTPResponse:
        """Answer one incoming call: count it under `call_id` ("" when it has none), apply a planned fault, do the work.

        `work(forge)` must commit all it promises before it returns. `failed(status)` builds the counterpart's own error
        answer for the fault ``error``. The work is finished even when the client leaves in the middle, for instance
        during a latency.
        """
        self.faults.count(counterpart, operation, call_id)
        fault = self.faults.take(counterpart, operation)
        kind = fault.kind if fault else None
        if fault and kind == "error":
            return failed(fault.status)
        if fault and kind in ("drop", "hang") and not fault.after:
            return await self._vanish(request, kind)
        answer = await asyncio.shield(self.spawn(self._work(work, fault.latency_s if fault else 0.0, kind == "forge")))
        if kind in ("drop", "hang"):
            return await self._vanish(request, kind)
        return answer

    async def deliver(self, counterpart: str, operation: str, send: Callable[[bool], Awaitable[bool]]) -> bool | None:
        """Send one outgoing message under the fault table.

        `send(forge)` makes the HTTP call and says whether it was accepted. Answers that (of the last sending), or None
        when the fault ``silence`` swallowed the message: it must then never be tried again. ``reorder`` holds this
        message until the next of the same counterpart and operation has left.
        """
        fault = self.faults.take(counterpart, operation)
        if fault and fault.kind == "silence":
            return None
        if fault and fault.kind == "reorder":
            next_has_left = asyncio.Event()
            self._held.setdefault((counterpart, operation), []).append(next_has_left)
            await next_has_left.wait()
            return await send(False)
        if fault and fault.latency_s:
            await asyncio.sleep(fault.latency_s)
        accepted = await send(fault is not None and fault.kind == "forge")
        if fault and fault.kind == "duplicate":
            accepted = await send(False)
        for held in self._held.pop((counterpart, operation), []):
            held.set()
        return accepted

    async def start(self) -> None:
        """Run the start hooks (the server calls this)."""
        for hook in self._start_hooks:
            await _run(hook)

    async def reset(self) -> None:
        """Back to the configuration file."""
        self.state.clear()
        for held in [event for events in self._held.values() for event in events]:
            held.set()  # what was held finds itself forgotten
        self._held.clear()
        for hook in self._reset_hooks:
            await _run(hook)

    async def close(self) -> None:
        """End the background work and close what is open (the server calls this)."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.http.aclose()
        self.state.close()

    async def _work(self, work: Work, latency_s: float, forge: bool) -> HTTPResponse:
        if latency_s:
            await asyncio.sleep(latency_s)
        answer = work(forge)
        return await answer if inspect.isawaitable(answer) else answer

    async def _vanish(self, request: Request, kind: str) -> HTTPResponse:
        if kind == "hang":
            await asyncio.sleep(HANG_S)
        transport = cast("asyncio.Transport | None", request.transport)
        if transport is not None:
            transport.abort()
        await asyncio.sleep(HANG_S)  # the lost connection cancels this handler; nothing can be answered any more
        return HTTPResponse(status=504)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("background work failed", exc_info=task.exception())


async def _run(hook: Hook) -> None:
    result = hook()
    if inspect.isawaitable(result):
        await result
