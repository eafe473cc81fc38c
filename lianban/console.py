"""Commands that act on the running service, from the server's own console: with which settings, and who types them."""

import argparse
import asyncio
import os
import pwd
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from core import clock
from core import settings as settings_module
from core.errors import LianbanError
from core.settings import Settings
from models.lifecycle import Actor


def actor() -> Actor:
    """The account of the process, not a variable of its environment, so that nobody can call himself somebody else."""
    return Actor("staff", f"console:{pwd.getpwuid(os.getuid()).pw_name}"[:60])


def add_var(parser: argparse.ArgumentParser) -> None:
    """Where the settings lie when the environment names no file."""
    parser.add_argument(
        "--var", type=Path, default=Path("var"), help="folder of `lianban dev`, when LIANBAN_SETTINGS is not set"
    )


def carried_out(var: Path, act: Callable[[Settings], Coroutine[Any, Any, int]]) -> int:
    """Do it with these settings, by the clock the service goes by; 1 with a sentence when it is refused."""
    settings = settings_module.load({"LIANBAN_SETTINGS": str(var / "keys" / "settings.json"), **os.environ})
    if settings.clock_file:
        clock.follow(Path(settings.clock_file))
    try:
        return asyncio.run(act(settings))
    except LianbanError as error:
        print(f"{error.code}: {(type(error).__doc__ or '').strip()}", file=sys.stderr)
        return 1
