"""``lianban serve``: the API in supervised processes, until SIGTERM; requests in flight are answered first.

SIGHUP replaces the processes one after the other, each only when its successor serves: new code and new settings without a gap.
"""

import argparse
import asyncio
import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import uvloop

from cities.loader import load_city
from core import clock, redis
from core import settings as settings_module
from core.database import opened, until_answered
from core.settings import Settings, SettingsInvalid
from lianban import counters, operations
from lianban.app import listen, prepare_process, running_api, services_for
from lianban.operations import Operations
from lianban.supervisor import Supervisor
from models import MODULES

MAX_WORKERS = 64
_OPERATIONS_POOL = 2
_FOLDER = "lianban-serve-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to listen, and with how many processes."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--workers", type=_workers, default=1, help="serving processes; 0: serve in this one, somebody else watches it"
    )
    parser.add_argument("--ops-host", default="127.0.0.1", help="for /metrics, /readyz and /livez; never the people's")
    parser.add_argument("--ops-port", type=int, default=8001, help="0: none")


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop; 0, or 1 when a process had to be killed in the end."""
    settings = settings_module.load()
    prepare_process(settings)
    if settings.is_open_world and not clock.is_real():
        raise SettingsInvalid("the clock does not travel where real people are served")
    return uvloop.run((_supervise if arguments.workers else _serve)(settings, arguments))


async def _supervise(settings: Settings, arguments: argparse.Namespace) -> int:
    stop, renew = _signals()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(_own_folder())
        sock = listen(arguments.host, arguments.port)
        supervisor = Supervisor(sock, arguments.workers, folder, os.environ)
        if arguments.ops_port:
            await stack.enter_async_context(opened(settings.database_url, MODULES, pool_size=_OPERATIONS_POOL))
            cache = redis.connect(settings.redis_url, settings.redis_wait_s)
            stack.push_async_callback(cache.aclose)
            watch = load_city(settings.city).promises.watch(clock.today())
            seen = Operations(cache, supervisor.children, lambda: counters.render(folder / "counters"), watch)
            await stack.enter_async_context(operations.running(seen, arguments.ops_host, arguments.ops_port))
        return await supervisor.run(stop, renew)


async def _serve(settings: Settings, arguments: argparse.Namespace) -> int:
    stop, _ = _signals()
    sock = listen(arguments.host, arguments.port)
    if not await until_answered(settings.database_url, settings.database_wait_s, stop):
        return 0
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(services_for(settings))
        if arguments.ops_port:
            seen = Operations(services.redis, watch=services.watch.rule().watch)
            await stack.enter_async_context(operations.running(seen, arguments.ops_host, arguments.ops_port))
        await stack.enter_async_context(running_api(services, sock))
        await stop.wait()
    return 0


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder of mode 0700 for the sockets and counters of this run; what a killed run has left behind is removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*"):
        with suppress(OSError):
            if left.lstat().st_uid == os.geteuid() and not left.is_symlink():
                with (left / "lock").open("rb") as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_FOLDER) as name, Path(name, "locking").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Only now may others find it.
        Path(name, "locking").rename(Path(name, "lock"))
        yield Path(name)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by SIGTERM and SIGINT; set by SIGHUP."""
    stop, renew = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number, event in ((signal.SIGINT, stop), (signal.SIGTERM, stop), (signal.SIGHUP, renew)):
        loop.add_signal_handler(number, event.set)
    return stop, renew


def _workers(text: str) -> int:
    number = int(text)
    if not 0 <= number <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"from 0 to {MAX_WORKERS}")
    return number
