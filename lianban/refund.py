"""``lianban refund``: look at the refunds that have not succeeded, and ask for one anew when a person has found the way clear."""

import argparse
from datetime import timedelta
from uuid import UUID

from core import clock
from core.settings import Settings
from domain.billing.returning import return_again
from lianban import console
from lianban.app import services_for
from payments.refunding import ByHand
from payments.views import refunds_to_look_at

_STATUS = {
    "requested": "待提交",
    "submitting": "提交中",
    "processing": "退款中",
    "abnormal": "退回受阻",
    "closed": "已被支付机构关闭",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do with which payment."""
    console.add_var(parser)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="refunds that are on their way, blocked or closed, oldest first, with their age")
    again = actions.add_parser(
        "again", help="request a refund of what a payment has received and no company has, when none is on its way"
    )
    again.add_argument("payment_id", type=UUID)
    again.add_argument("--reason", required=True, help="why, for the record; no personal data")
    again.add_argument("--approver", required=True, help="the login of the other person who has agreed")


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 with a sentence when it is refused."""
    return console.carried_out(arguments.var, lambda settings: _act(arguments, settings))


async def _act(arguments: argparse.Namespace, settings: Settings) -> int:
    async with services_for(settings):
        await perform(arguments)
    return 0


async def perform(arguments: argparse.Namespace) -> None:
    """Do it on the database that is open, and print what came of it."""
    if arguments.action == "list":
        await _print_list()
        return
    by_hand = ByHand(console.actor(), arguments.approver, arguments.reason)
    for refund_id in await return_again(arguments.payment_id, by_hand):
        print(f"已登记退款 {refund_id.hex}，由后台提交给支付机构；用 list 查看进展")


async def _print_list() -> None:
    refunds = await refunds_to_look_at()
    for refund in refunds:
        age = _age(clock.now() - refund["created_at"])
        status = _STATUS[refund["status"]]
        print(
            f"{refund['payment_id']}\t{refund['refund_number']}\t{status}\t{_yuan(refund['amount_fen'])}"
            f"\t{refund['reason']}\t第{refund['times']}次\t{age}"
        )
    print(f"共 {len(refunds)} 笔未完成的退款")


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02}元"


def _age(age: timedelta) -> str:
    hours, minutes = divmod(int(age.total_seconds()) // 60, 60)
    return f"{hours // 24}天{hours % 24}小时" if hours >= 24 else f"{hours}小时{minutes}分"
