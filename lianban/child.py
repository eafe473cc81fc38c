"""One serving process under the supervisor: ``python -m lianban.child <descriptor> <probe socket>``.

It serves the listening socket it inherited under that descriptor, and the same API on a unix socket of its own, on which the
supervisor asks whether it is well. The end of its standard input tells it to drain and go: the supervisor closes it, or is gone.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from core import settings as settings_module
from core.database import until_answered
from core.settings import Settings
from lianban.app import prepare_process, running_api, services_for


def main(arguments: Sequence[str]) -> int:
    """Serve until told to go."""
    descriptor, probe = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor says when
    settings = settings_module.load()
    prepare_process(settings)
    uvloop.run(_serve(settings, int(descriptor), Path(probe)))
    return 0


async def _serve(settings: Settings, descriptor: int, probe: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def heard() -> None:
        if not os.read(sys.stdin.fileno(), 64):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    loop.add_reader(sys.stdin.fileno(), heard)
    public = socket.socket(fileno=descriptor)
    public.setblocking(False)
    private = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    private.bind(str(probe))
    private.listen(16)
    private.setblocking(False)
    if not await until_answered(settings.database_url, settings.database_wait_s, stop):
        return
    async with services_for(settings) as services, running_api(services, public, private):
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
