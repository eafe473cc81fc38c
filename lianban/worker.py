"""``lianban worker``: background work, until SIGTERM; those in flight get five seconds."""

import argparse
import asyncio
import contextlib
import os
import signal

import uvloop

from core import settings as settings_module
from core.database import until_answered
from core.settings import Settings
from lianban.app import prepare_process, running_worker, services_for

NICENESS = 5
"""Beside serving processes on one machine, what somebody waits for on a screen comes first."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments: addresses come from the settings."""


def run(_arguments: argparse.Namespace) -> int:
    """Work until told to stop.

    Raises:
        core.database.DatabaseAway: the database has not answered for too long.
    """
    settings = settings_module.load()
    prepare_process(settings)
    os.nice(NICENESS)
    return uvloop.run(_work(settings))


async def _work(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if await until_answered(settings.database_url, settings.database_wait_s, stop):
        async with services_for(settings) as services, running_worker(services):
            with contextlib.suppress(asyncio.CancelledError):
                await stop.wait()
    return 0
