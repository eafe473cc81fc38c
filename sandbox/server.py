"""One Sanic app on one loopback port for each kind of counterpart, in one event loop."""

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Self, cast

from sanic import Request, Sanic
from sanic.exceptions import SanicException
from sanic.server import AsyncioServer

from sandbox import alipay, companies, construction, control, readers, sms, unified, wechat, wechat_pay
from sandbox.context import Context, ControlError
from sandbox.replies import Reply, json_reply
from sandbox.wechat_people import People

DRAIN_S = 1.0
COUNTERPARTS = ("wechat", "wechat_pay", "companies", "alipay", "unified_identity")
"""Who listens where, from the base port on."""
MAX_BODY_BYTES = 1_048_576
log = logging.getLogger("sandbox")


class Sandbox:
    """The running sandbox; use as ``async with Sandbox(config, port=9100) as sandbox``.

    `port` is the base port (WeChat and control), the next ones carry the others in the order of `COUNTERPARTS`. With
    ``port=0`` the system chooses free ones; ``sandbox.ports`` says which. Raises OSError when a port is taken.
    """

    def __init__(self, config: dict[str, Any], port: int) -> None:
        self._sockets = _bind(port)
        self.ports: tuple[int, ...] = tuple(sock.getsockname()[1] for sock in self._sockets)
        self.context = Context(config)
        self._servers: list[AsyncioServer] = []
        self._apps = [_app(name) for name in COUNTERPARTS]
        _mount(self._apps, self.context)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        for app, sock in zip(self._apps, self._sockets, strict=True):
            # start_serving=False: otherwise the port listens before its router is ready.
            starting = app.create_server(sock=sock, access_log=False, asyncio_server_kwargs={"start_serving": False})
            server = cast("AsyncioServer", await starting)
            self._servers.append(server)
            await server.startup()
            await server.before_start()
            await cast("Awaitable[None]", server.start_serving())
            await server.after_start()
        await self.context.start()

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
            for connection in list(server.connections):
                connection.close_if_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                # Sanic tells nobody when a connection has ended.
                while any(server.connections for server in self._servers):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        for server in self._servers:
            for connection in list(server.connections):
                connection.abort()
            if server.app.state.is_started:
                await server.before_stop()
                await server.after_stop()
        for app in self._apps:
            Sanic.unregister_app(app)
        for sock in self._sockets:
            sock.close()
        await self.context.close()


def _bind(port: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for offset in range(len(COUNTERPARTS)):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port + offset if port else 0))
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _app(name: str) -> Sanic:
    # Sanic keeps a registry by name: the suffix lets one process (a test run) hold several sandboxes.
    app = Sanic(f"sandbox_{name}_{secrets.token_hex(4)}", configure_logging=False)
    app.config.TOUCHUP = False  # it rewrites Sanic's classes for the whole process
    app.config.REQUEST_MAX_SIZE = MAX_BODY_BYTES
    app.config.RESPONSE_TIMEOUT = 150
    app.config.REQUEST_TIMEOUT = 30
    app.config.KEEP_ALIVE_TIMEOUT = 30
    app.exception(Exception)(_REFUSALS.get(name, _refused))
    app.add_route(_nothing_here, "/", name="nothing_here")  # Sanic refuses to start an app without routes
    return app


def _mount(apps: list[Sanic], context: Context) -> None:
    wechat_app, wechat_pay_app, companies_app, alipay_app, unified_app = apps
    people = People(context)
    control.mount(wechat_app, context)
    wechat.mount(wechat_app, context, people)
    sms.mount(wechat_app, context)
    readers.mount(wechat_app, context)
    construction.mount(wechat_app, context)
    if "wechat_pay" in context.config:
        wechat_pay.mount(wechat_pay_app, wechat_app, context, people)
    if "alipay" in context.config:
        alipay.mount(alipay_app, wechat_app, context)
    if "unified_identity" in context.config:
        unified.mount(unified_app, wechat_app, context)
    companies.mount(companies_app, context)
    companies.mount_control(wechat_app, context)


async def _nothing_here(_: Request) -> Reply:
    return json_reply({"error": "not found"}, 404)


async def _refused(request: Request, error: Exception) -> Reply:
    if isinstance(error, ControlError):
        return json_reply({"error": str(error)}, error.status)
    if isinstance(error, SanicException):
        headers = {str(name): str(value) for name, value in (error.headers or {}).items()}
        return json_reply({"error": str(error)}, error.status_code, headers)
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return json_reply({"error": type(error).__name__}, 500)


_REFUSALS = {"wechat_pay": wechat_pay.refused}
