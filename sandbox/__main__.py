"""``python -m sandbox --config FILE --port 9100 [--stdin-guard]``."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import uvloop

from sandbox.server import COUNTERPARTS, Sandbox


def main() -> int:
    """Run until SIGTERM, SIGINT, or (with --stdin-guard) the end of standard input."""
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the configuration file of docs/sandbox.md")
    parser.add_argument("--port", type=int, default=9100, help="base port; the next four are used too")
    parser.add_argument("--stdin-guard", action="store_true", help="stop when standard input ends: the parent is gone")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        config = json.loads(options.config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"sandbox: the configuration {options.config} cannot be read: {error}\n")
        return 2
    try:
        uvloop.run(_run(config, options.port, options.stdin_guard))
    except OSError as error:
        sys.stderr.write(f"sandbox: ports {options.port} to {options.port + len(COUNTERPARTS) - 1}: {error}\n")
        return 1
    return 0


async def _run(config: dict[str, Any], port: int, stdin_guard: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if stdin_guard:
        threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    async with Sandbox(config, port):
        await stop.wait()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    with contextlib.suppress(RuntimeError):  # the loop has already ended
        loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
