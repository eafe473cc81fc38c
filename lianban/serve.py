"""``lianban serve``: the API in this process, until SIGTERM; requests in flight are answered first."""

import argparse
import asyncio
import signal

import uvloop

from core import clock
from core import settings as settings_module
from core.settings import Settings, SettingsInvalid
from lianban.app import listen, prepare_process, running_api, services_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to listen."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings = settings_module.load()
    prepare_process(settings)
    if settings.is_open_world and not clock.is_real():
        raise SettingsInvalid("the clock does not travel where real people are served")
    uvloop.run(_serve(settings, arguments.host, arguments.port))
    return 0


async def _serve(settings: Settings, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    sock = listen(host, port)
    async with services_for(settings) as services, running_api(services, sock):
        await stop.wait()
