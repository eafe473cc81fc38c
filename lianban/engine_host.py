"""Folders, sockets and processes of engines that outlive the process which started them."""

import hashlib
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from core import clock
from core.errors import LianbanError
from lianban import os_account
from lianban.os_account import Account

SOCKET_PATH_MAX = 100
"""The kernel's limit is 107 bytes on Linux and 103 on macOS, the final zero included."""
START_TIMEOUT_S = 60.0
_POLL_S = 0.02


class EngineFailed(LianbanError):
    """An embedded engine does not start or does not stop. The message says which, and where its log lies."""

    code = "engine_failed"


def processes(name: str, working_dir: Path) -> list[psutil.Process]:
    """Live processes called `name` that stand in `working_dir`; a zombie is not alive."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            alive = process.name().startswith(name) and process.status() != psutil.STATUS_ZOMBIE
            if alive and Path(process.cwd()) == working_dir:
                found.append(process)
    return found


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Ask until `condition` holds; False when it did not within `timeout_s`."""
    end = clock.monotonic() + timeout_s
    while not condition():
        if clock.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True


def reachable_place(wanted: Path, account: Account | None) -> Path:
    """`wanted`, or where its symbolic link leads, or a new place that the account can reach, linked from `wanted`."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if wanted.is_symlink():
        target = Path(os.readlink(wanted))
        # A copied checkout brings the link along; the data it leads to are the other one's.
        if target.is_dir() and (target.parent / "home").read_text() == str(wanted):
            return target
        wanted.unlink()
    if os_account.can_reach(wanted, account):
        return wanted.resolve()
    place = os_account.home() / secrets.token_hex(8)
    target = place / wanted.name
    target.mkdir(parents=True)
    (place / "home").write_text(str(wanted))
    wanted.symlink_to(target)
    return target


def socket_folder(wanted: Path, name: str, account: Account | None) -> Path:
    """A folder of mode 0700 for the socket `name`: `wanted` if it is short and reachable, else one named by its hash.

    Raises:
        EngineFailed: somebody else owns the folder.
    """
    folder = wanted
    if len(os.fsencode(wanted / name)) > SOCKET_PATH_MAX or not os_account.can_reach(wanted, account):
        digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
        root = Path(tempfile.gettempdir())
        if len(os.fsencode(root)) > 60 or not os_account.can_reach(root / digest, account):
            root = Path("/tmp")  # noqa: S108  the folder below is refused unless it is ours alone
        folder = root / f"lianban-{os.geteuid()}-{digest}"
    with suppress(FileExistsError):
        folder.mkdir(parents=True, mode=0o700)
        os_account.give(folder, account)
    found = folder.lstat()
    owner = account.uid if account else os.geteuid()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (owner, 0):
        raise EngineFailed(f"{folder} is not ours; remove it")
    folder.chmod(0o700)
    os_account.give(folder, account)
    return folder.resolve()
