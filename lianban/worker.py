"""``lianban worker``: background work, until SIGTERM; those in flight get five seconds."""

import argparse
import asyncio
import contextlib
import os
import signal

import uvloop

from core import settings as settings_module
from core.settings import Settings
from lianban.app import prepare_process, running_worker, services_for

NICENESS = 5
"""Beside serving processes on one machine, what somebody waits for on a screen comes first."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments: addresses come from the settings."""


def run(_arguments: argparse.Namespace) -> int:
    """Work until told to stop."""
    settings = settings_module.load()
    prepare_process(settings)
    os.nice(NICENESS)
    uvloop.run(_work(settings))
    return 0


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with services_for(settings) as services, running_worker(services):
        with contextlib.suppress(asyncio.CancelledError):
            await stop.wait()
