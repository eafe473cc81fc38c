"""The OS user under which PostgreSQL runs where we are root, and the folders it can reach."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from core.errors import LianbanError

NAMES = ("lianban", "pgserver", "postgres")
"""Taken if one exists, in this order; the first is made where none does."""
_HOME = Path("/var/lib/lianban")


class AccountMissing(LianbanError):
    """We are root and can neither find nor make an unprivileged user. DATABASE_URL leads around it."""

    code = "account_missing"


class Account(NamedTuple):
    """An OS user."""

    name: str
    uid: int
    gid: int


def for_postgres() -> Account | None:
    """The user to run PostgreSQL as; None where we are not root, so that our own will do.

    Raises:
        AccountMissing: there is none and it cannot be made.
    """
    if os.geteuid() != 0:
        return None
    account = _existing()
    if account is None:
        _make()
        account = _existing()
    if account is None:
        raise AccountMissing("PostgreSQL does not run as root: make a system user `lianban`, or set DATABASE_URL")
    return account


def home() -> Path:
    """A folder of root's that every user can enter and only root can change."""
    _HOME.mkdir(mode=0o755, parents=True, exist_ok=True)
    return _HOME


def can_reach(path: Path, account: Account | None) -> bool:
    """True when the account may enter every existing folder above `path`."""
    if account is None:
        return True
    for parent in [*Path(os.path.abspath(path)).resolve().parents]:
        try:
            found = parent.stat()
        except FileNotFoundError:
            continue
        if found.st_uid == account.uid:
            allowed = found.st_mode & 0o100
        elif found.st_gid == account.gid:
            allowed = found.st_mode & 0o010
        else:
            allowed = found.st_mode & 0o001
        if not allowed:
            return False
    return True


def give(path: Path, account: Account | None) -> None:
    """Make the account the owner of `path`."""
    if account is not None:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def arguments(account: Account | None) -> dict[str, Any]:
    """What ``subprocess`` needs to run a program as the account, without a right of ours."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def _existing() -> Account | None:
    for name in NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    return None


def _make() -> None:
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program:
        command = [program, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", NAMES[0]], check=False, capture_output=True)
