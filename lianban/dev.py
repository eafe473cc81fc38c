"""``lianban dev``: the whole of it on this machine, from an empty folder to a paid bill, until Ctrl-C.

Engines, keys, schema, city pack, sandbox, API and worker, in this order; then the demo journey plays and everything
keeps serving. What ends this process, a ``kill -9`` included, loses nothing: the next start goes on with the same data
and keys.
"""

import argparse
import asyncio
import errno
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import uvloop

from cities.loader import load_city
from cities.schema import City
from core import settings as settings_module
from core.errors import LianbanError
from core.settings import Settings
from lianban import app, demo, engines, migrate
from lianban.keys import Ports, ensure_dev_keys
from lianban.sandbox import SandboxProcess
from lianban.story import Running

_WATCH_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the data lie and which ports are taken; the defaults are what everything else assumes."""
    parser.add_argument("--var", type=Path, default=Path("var"), help="folder of data and keys (default: var)")
    parser.add_argument("--city", default="ezhou", help="code of the city pack (default: ezhou)")
    parser.add_argument("--port", type=int, default=Ports().api, help="the API's port on 127.0.0.1 (default: 8000)")
    parser.add_argument("--sandbox-port", type=int, default=Ports().sandbox, help="the first of the sandbox's five")
    parser.add_argument("--no-demo", action="store_true", help="start and serve, play nothing")


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM; 0 then, 1 when something does not start or dies."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # also into a pipe or a file, each step is seen when it happens
    var_dir = Path(os.path.abspath(arguments.var))
    try:
        # Until the loop listens to signals itself, SIGTERM must unwind as Ctrl-C does, so that the engines stop.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with engines.locked(var_dir / "dev.lock"), engines.running(var_dir) as addresses:
            try:
                return uvloop.run(_main(arguments, var_dir, addresses))
            finally:
                # Stopping takes a moment and is bounded; a second Ctrl-C must not leave it half done.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except engines.AlreadyRunning as error:
        print(f"这个目录里已经有一个联办在运行：{error}", file=sys.stderr)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        print(f"启动失败：{f'端口 {arguments.port} 已被占用，可用 --port 换一个' if taken else error}", file=sys.stderr)
    except LianbanError as error:
        print(f"启动失败：{error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 0
    return 1


async def _main(arguments: argparse.Namespace, var_dir: Path, addresses: engines.Addresses) -> int:
    ports = Ports(arguments.port, arguments.sandbox_port)
    settings_path, sandbox_config = ensure_dev_keys(var_dir, ports, arguments.city, addresses)
    settings = settings_module.load({**os.environ, "LIANBAN_SETTINGS": str(settings_path)})
    city = load_city(settings.city)
    sandbox = SandboxProcess(sandbox_config, ports.sandbox, log=var_dir / "sandbox.log")
    with (var_dir / "lianban.log").open("a", buffering=1) as journal:
        app.prepare_process(settings, stream=journal)
        return await _run(arguments, settings, settings_path, sandbox, city)


async def _run(
    arguments: argparse.Namespace, settings: Settings, settings_path: Path, sandbox: SandboxProcess, city: City
) -> int:
    async with _until_signal() as stop:
        try:
            sandbox.start()
            owner_url = settings.database_owner_url or settings.database_url
            applied = await migrate.migrate(owner_url, wait_s=settings.database_wait_s)
            await migrate.publish(owner_url, city)
            await asyncio.to_thread(sandbox.wait_until_healthy)
            async with app.running(settings, port=arguments.port):
                _say_where(settings, sandbox, settings_path, city.name, applied)
                if not arguments.no_demo:
                    await demo.play(demo.STORY, Running(settings, settings_path, sandbox.url))
                return await _serve(stop, sandbox)
        except asyncio.CancelledError:
            if not stop.is_set():
                raise
            return 0
        finally:
            await asyncio.to_thread(sandbox.stop)


@asynccontextmanager
async def _until_signal() -> AsyncIterator[asyncio.Event]:
    """The event of the first SIGINT or SIGTERM, which also cancels what is under way; later ones change nothing."""
    stop = asyncio.Event()
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not stop.is_set():
            print("\n正在停止……", file=sys.stderr, flush=True)
            stop.set()
            assert task is not None
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    yield stop


async def _serve(stop: asyncio.Event, sandbox: SandboxProcess) -> int:
    """Stay until told to end; 1 when the sandbox dies untold."""
    while not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(_WATCH_S):
                await stop.wait()
        if not stop.is_set() and not sandbox.is_alive():
            print(f"沙箱意外退出，日志在 {sandbox.log}，结尾是：\n{sandbox.log_end()}", file=sys.stderr)
            return 1
    return 0


def _say_where(settings: Settings, sandbox: SandboxProcess, path: Path, city: str, applied: list[str]) -> None:
    rows = [
        ("页面", f"{settings.public_url}/h5/（手机或电脑的浏览器打开）"),
        ("接口", settings.public_url),
        ("接口说明", f"{settings.public_url}/docs"),
        ("沙箱", f"{sandbox.url}/control/health（微信、微信支付、公共服务企业、统一身份认证都由它扮演）"),
        ("日志", f"{path.parents[1] / 'lianban.log'} 和 {sandbox.log}"),
        ("数据库", f"psql '{settings.database_url}'"),
        ("设置", f"LIANBAN_SETTINGS={path}"),
        ("演示", "另开一个终端：make demo STORY=pay、family、agent 或 application；核对：make check"),
        ("结构", f"本次应用 {len(applied)} 个迁移" if applied else "已是最新"),
    ]
    print(f"\n联办·{city} 已启动，Ctrl-C 停止", *(f"  {name}\t{value}" for name, value in rows), sep="\n", flush=True)
