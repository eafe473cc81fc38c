"""``lianban payment``: payments that the provider calls paid in words that do not match ours, and the way out for two persons."""

import argparse
from uuid import UUID

from core import clock
from core.settings import Settings
from lianban import console
from lianban.app import services_for
from payments.unmatched import give_up, unmatched


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do with which payment."""
    console.add_var(parser)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="live payments past their time of which the provider says what does not match ours")
    end = actions.add_parser("give-up", help="end one as failed and free its bills, once the money has been seen to")
    end.add_argument("payment_id", type=UUID)
    end.add_argument("--reason", required=True, help="what it was, for the record; no personal data")
    end.add_argument("--approver", required=True, help="the login of the other person who has agreed")


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 with a sentence when it is refused."""
    return console.carried_out(arguments.var, lambda settings: _act(arguments, settings))


async def _act(arguments: argparse.Namespace, settings: Settings) -> int:
    async with services_for(settings):
        await perform(arguments)
    return 0


async def perform(arguments: argparse.Namespace) -> None:
    """Do it on the database that is open, and print what came of it."""
    if arguments.action == "give-up":
        await give_up(arguments.payment_id, console.actor(), arguments.reason, arguments.approver)
        print("已结束这笔缴费，账单可以重新缴；付款人会收到消息")
        return
    rows = await unmatched()
    for row in rows:
        hours = int((clock.now() - row["since"]).total_seconds()) // 3600
        yuan = f"{row['total_fen'] // 100}.{row['total_fen'] % 100:02}元"
        print(f"{row['id']}\t{row['provider']}\t{row['status']}\t{yuan}\t不符：{row['fields']}\t{hours}小时")
    print(f"共 {len(rows)} 笔核对不上的缴费")
