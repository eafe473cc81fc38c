"""Running what was composed: the API on a socket, the worker, both inside one loop if wanted."""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

from sanic import Sanic
from sanic.application.constants import ServerStage
from sanic.application.state import ApplicationServerInfo
from sanic.http import Http, Stage
from sanic.http.constants import HTTP
from sanic.server.protocols.http_protocol import HttpProtocol

from api import metrics
from api.app import create_app
from api.door import Door, Doorkeeper
from api.shedding import TICK_S, Shedder
from core import clock, failpoint, log
from core.database import opened, pool_state, waiting_for_connection
from core.settings import Settings, SettingsInvalid
from domain.identity.sessions import ended_lately
from domain.services import Services
from lianban.compose import compose
from models import MODULES
from payments import ledger

logger = log.get_logger(__name__)

BACKLOG = 4096
"""Connections that may wait to be taken. Those the kernel drops come again only after one, three, seven, fifteen seconds."""
ENDED_SESSIONS_EVERY_S = 1.5
DRAIN_S = 10.0
LAST_REQUESTS_S = 0.3
"""How long a connection without a request is kept when we stop: what its client has just sent is still read and answered."""
_PUBLISH_EVERY = 10
_CANCEL_AGAIN_S = 1.0


def prepare_process(settings: Settings, *, stream: TextIO | None = None) -> None:
    """What every process does first: logs (readable ones into `stream`), the clock, failpoints (dev and test only)."""
    log.configure(readable=stream is not None, stream=stream)
    if settings.clock_file:
        if settings.environment not in ("dev", "test"):
            raise SettingsInvalid("clock_file: time travels in dev and test only")
        clock.follow(Path(settings.clock_file))
    if points := os.environ.get("LIANBAN_FAILPOINTS"):
        if settings.environment not in ("dev", "test"):
            raise SettingsInvalid("LIANBAN_FAILPOINTS: in dev and test only")
        failpoint.arm(points, os.environ["LIANBAN_FAILPOINT_LOG"])


@asynccontextmanager
async def services_for(settings: Settings) -> AsyncIterator[Services]:
    """The services with their database open."""
    services = compose(settings)
    async with opened(settings.database_url, MODULES, pool_size=settings.pool_size, pool_wait_s=settings.pool_wait_s):
        for provider in services.providers:
            merchants = [company.merchants.get(provider.name) for company in services.companies]
            await ledger.open_accounts(provider.name, [merchant for merchant in merchants if merchant])
        try:
            yield services
        finally:
            await services.overview.aclose()
            await services.redis.aclose()
            for counterpart in services.counterparts:
                await counterpart.aclose()


@asynccontextmanager
async def running_api(services: Services, *sockets: socket.socket) -> AsyncIterator[Sanic]:
    """Serve the API on these listening sockets until the end of the block, then drain."""
    shedder = Shedder(
        outside=lambda: sum([counterpart.calls for counterpart in services.counterparts]),
        waiting=waiting_for_connection,
    )
    app = create_app(services, f"lianban-{id(services):x}", shedder)
    async with serving(app, *sockets, protocol=Door):
        # What start-up has made stays: the collector need not walk through it, 70 ms each time, while requests wait.
        gc.collect()
        gc.freeze()
        watchers = [
            asyncio.create_task(_watch_ended_sessions(services)),  # noqa: TID251 -- outside any transaction
            asyncio.create_task(_watch_load(services, shedder, app.ctx.doorkeeper)),  # noqa: TID251 -- outside any transaction
        ]
        try:
            yield app
        finally:
            await ended(*watchers)


@asynccontextmanager
async def serving(
    app: Sanic, *sockets: socket.socket, protocol: type[HttpProtocol] = HttpProtocol
) -> AsyncIterator[None]:
    """Serve `app` on these listening sockets until the end of the block, then drain."""
    Sanic.test_mode = False
    # Sanic sends an empty alt-svc header unless it knows that it speaks HTTP/1 only.
    app.state.server_info.append(ApplicationServerInfo(settings={"version": HTTP.VERSION_1}, stage=ServerStage.SERVING))
    # At a start Sanic rewrites its own methods from their source, which it finds only once in a process.
    app.config.TOUCHUP = not getattr(Http, "__touched__", False)
    servers: list[Any] = []
    for sock in sockets:
        server = await app.create_server(
            sock=sock,
            protocol=protocol,
            backlog=BACKLOG,
            return_asyncio_server=True,
            asyncio_server_kwargs={"start_serving": False},
        )
        assert server is not None
        servers.append(server)
    await servers[0].startup()
    await servers[0].before_start()
    for server in servers:
        await server.start_serving()
    await servers[0].after_start()
    try:
        yield
    finally:
        await _drain(app, servers)


@asynccontextmanager
async def running_worker(services: Services) -> AsyncIterator[None]:
    """Work jobs until the end of the block; those in flight get five seconds."""
    # The queue's library is a tenth of a slow start, and processes that only serve the API need none of it.
    from jobs import leaps, worker

    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(services, stop))  # noqa: TID251 -- outside any transaction
    leaping = asyncio.create_task(leaps.follow()) if services.settings.clock_file else None  # noqa: TID251 -- outside any transaction
    try:
        yield
    finally:
        if leaping is not None:
            leaping.cancel()
        stop.set()
        await ended(task, within_s=worker.STOP_WITHIN_S)


@asynccontextmanager
async def running(
    settings: Settings, *, port: int, host: str = "127.0.0.1", with_worker: bool = True
) -> AsyncIterator[Services]:
    """API and worker in this process, as ``lianban dev`` runs them."""
    sock = listen(host, port)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(services_for(settings))
        await stack.enter_async_context(running_api(services, sock))
        if with_worker:
            await stack.enter_async_context(running_worker(services))
        yield services


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


async def ended(*tasks: asyncio.Task[None], within_s: float = 0.0) -> None:
    """Wait for their own end, and cancel what is left after `within_s`: again and again, since one cancellation may be lost.

    On Python 3.11 ``asyncio.wait_for``, which the queue's connections wait by, forgets a cancellation that comes with its result.
    """
    left = set(tasks)
    if within_s:
        _, left = await asyncio.wait(left, timeout=within_s)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_S)


async def _watch_ended_sessions(services: Services) -> None:
    """Tokens of ended sessions are refused within seconds, cached ones included."""
    while True:
        try:
            services.access_tokens.ended(await ended_lately())
        except Exception as error:
            logger.warning("sessions.watch_failed", error_type=type(error).__name__)
        await asyncio.sleep(ENDED_SESSIONS_EVERY_S)


async def _watch_load(services: Services, shedder: Shedder, doorkeeper: Doorkeeper) -> None:
    """Measure how late the loop is, let the shedder decide on it, publish once a second."""
    looks = 0
    while True:
        due = clock.monotonic() + TICK_S
        await asyncio.sleep(TICK_S)
        shedder.look(clock.monotonic() - due)
        looks += 1
        if looks % _PUBLISH_EVERY == 1:
            circuits = {counterpart.name: counterpart.circuit.is_open for counterpart in services.counterparts}
            try:
                metrics.publish(shedder.load(), shedder.refused_classes, pool_state(), circuits)
                metrics.count_refused(doorkeeper.refused)
                doorkeeper.refused.clear()
            except OSError as error:  # the files of several processes; a full disk must not end the watch
                logger.warning("metrics.not_published", error_type=type(error).__name__)


async def _drain(app: Sanic, servers: list[Any]) -> None:
    """Stop listening, answer what is in flight or just arriving and say that it is the last, then cut what is left."""
    for server in servers:
        server.close()
    await servers[0].before_stop()
    app.config.KEEP_ALIVE = False
    began = clock.monotonic()
    while clock.monotonic() < began + DRAIN_S:
        left = [connection for server in servers for connection in [*server.connections]]
        busy = [connection for connection in left if connection.http and connection.http.stage is not Stage.IDLE]
        for connection in busy:
            connection.http.keep_alive = False
        if clock.monotonic() > began + LAST_REQUESTS_S:
            for connection in left:
                connection.close_if_idle()
            if not busy:
                break
        await asyncio.sleep(0.02)
    for connection in [connection for server in servers for connection in [*server.connections]]:
        if connection.transport and not connection.transport.is_closing():
            connection.transport.abort()
    await servers[0].after_stop()
