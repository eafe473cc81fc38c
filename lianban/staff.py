"""``lianban staff``: make, list and disable staff logins from the server's own console, where the first administrator comes from."""

import argparse
import asyncio
import getpass
import os
import sys
from pathlib import Path

import segno

from core import settings as settings_module
from core.errors import LianbanError
from core.settings import Settings
from domain.identity.staff import ROLES, Staff
from lianban.app import services_for
from models.lifecycle import Actor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do with which login."""
    parser.add_argument(
        "--var", type=Path, default=Path("var"), help="folder of `lianban dev`, when LIANBAN_SETTINGS is not set"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make a login; the password is asked for, or read from standard input")
    create.add_argument("login", help="3 to 40 of a-z 0-9 . _ -, beginning with a letter")
    create.add_argument("--name", required=True, help="the person's name")
    create.add_argument("--role", choices=ROLES, default="administrator")
    create.add_argument("--scope", default="city", help="city, a company code or an area code (default: city)")
    actions.add_parser("list", help="all logins")
    disable = actions.add_parser("disable", help="a login that must not be used any more")
    disable.add_argument("login")


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 with a sentence when it is refused."""
    settings = settings_module.load({"LIANBAN_SETTINGS": str(arguments.var / "keys" / "settings.json"), **os.environ})
    password = _password() if arguments.action == "create" else ""
    try:
        asyncio.run(_act(arguments, settings, password))
    except LianbanError as error:
        print(f"{error.code}: {(type(error).__doc__ or '').strip()}", file=sys.stderr)
        return 1
    return 0


async def _act(arguments: argparse.Namespace, settings: Settings, password: str) -> None:
    by = Actor("staff", f"console:{getpass.getuser()}")
    async with services_for(settings) as services:
        staff = Staff(services.vault)
        if arguments.action == "create":
            made = await staff.create(arguments.login, arguments.name, password, arguments.role, arguments.scope, by)
            print(f"已建立 {made.user.login}（{arguments.role}@{arguments.scope}）。请用验证器扫描，只显示这一次：")
            segno.make(made.totp_uri).terminal(compact=True)
            print(made.totp_uri)
        elif arguments.action == "disable":
            await staff.disable(arguments.login, by)
            print(f"已停用 {arguments.login.lower()}")
        else:
            for user, name in await staff.list():
                roles = " ".join(f"{role['role']}@{role['scope']}" for role in user.roles)
                print(
                    f"{user.login}\t{name}\t{roles}\t{'已停用' if user.disabled_at else '可用'}\t{user.created_at:%Y-%m-%d}"
                )


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("口令（至少 12 个字符）：")
    if first != getpass.getpass("再输一次："):
        print("两次输入不一样", file=sys.stderr)
        sys.exit(1)
    return first
