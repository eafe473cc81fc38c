"""``lianban staff``: the first administrator of a unit, lists and emergencies, from the server's own console.

All further logins are made by administrators over the API, each within what he may give.
"""

import argparse

from core.settings import Settings
from domain.identity.staff import NewStaff
from lianban import console
from lianban.app import services_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do with which login."""
    console.add_var(parser)
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make the first administrator of a unit; prints his setup code")
    create.add_argument("login", help="3 to 40 of a-z 0-9 . _ -, beginning with a letter")
    create.add_argument("--name", required=True, help="the person's name")
    create.add_argument("--unit", default="city", help="a unit of the city pack's staff.toml (default: city)")
    actions.add_parser("list", help="all logins")
    disable = actions.add_parser("disable", help="a login that must not be used any more; ends its sessions")
    disable.add_argument("login")
    renew = actions.add_parser("renew", help="a new setup code for an administrator whom nobody else can help")
    renew.add_argument("login")


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 with a sentence when it is refused."""
    return console.carried_out(arguments.var, lambda settings: _act(arguments, settings))


async def _act(arguments: argparse.Namespace, settings: Settings) -> int:
    by = console.actor()
    async with services_for(settings) as services:
        staff = services.staff
        if arguments.action == "create":
            _show(await staff.create_first(by, arguments.login, arguments.name, arguments.unit))
        elif arguments.action == "renew":
            _show(await staff.renew_setup_of(by, arguments.login))
        elif arguments.action == "disable":
            await staff.disable_login(by, arguments.login)
            print(f"已停用 {arguments.login.lower()}")
        else:
            for user, name in await staff.every():
                state = "已停用" if user.disabled_at else "可用" if user.enrolled_at else "等本人设置"
                print(f"{user.login}\t{name}\t{user.unit}\t{' '.join(user.roles)}\t{state}\t{user.created_at:%Y-%m-%d}")
    return 0


def _show(made: NewStaff) -> None:
    print(f"{made.user.login}（{made.user.unit}）的设置码，只显示这一次，{made.expires_at:%Y-%m-%d %H:%M} UTC 前有效：")
    print(made.setup_code)
