"""``lianban reconcile``: compare a day's files with our books and print what it comes to; look at differences and end them."""

import argparse
import sys
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from core.settings import Settings
from domain.services import Services
from lianban import console
from lianban.app import services_for
from payments.reconciliation import items
from payments.reconciliation.reporting import DayRow, report

_STATES = {"waiting": "账单未到", "taken": "比对中", "matched": "已比对", None: "无"}
_KINDS = {
    "missing_at_provider": "支付机构没有这笔",
    "missing_here": "我方没有这笔",
    "refund_missing_at_provider": "支付机构没有这笔退款",
    "refund_missing_here": "我方没有这笔退款",
    "amount_differs": "金额不符",
    "state_differs": "状态不符",
    "number_differs": "单号不符",
    "twice": "重复",
    "fee_too_high": "手续费过高",
    "posted_not_paid": "企业已入账，没有对应收款",
    "paid_not_posted": "已收款，企业未入账",
}
_OWNERS = {"platform_operator": "平台运营", "company_finance": "企业财务"}


class Printed(NamedTuple):
    """A line of the report: its cells as they are shown."""

    merchant: str
    provider: str
    ours: str
    company: str
    refunds: str
    fee: str
    items: str
    unexplained: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A day to reconcile, or what to do with a difference."""
    console.add_var(parser)
    parser.add_argument(
        "what",
        help="a day (YYYY-MM-DD) to reconcile and report; or list, take-up, resolve, reopen",
        metavar="DAY|ACTION",
    )
    parser.add_argument("item_id", nargs="?", type=UUID, help="the difference to act on")
    parser.add_argument("--reason", default="", help="what it was, for the record; no personal data")
    parser.add_argument("--approver", default="", help="the login of the other person who has agreed")


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 when something is unexplained, or with a sentence when it is refused."""
    try:
        return console.carried_out(arguments.var, lambda settings: _act(arguments, settings))
    except ValueError as error:
        print(f"wrong_argument: {error}", file=sys.stderr)
        return 1


async def _act(arguments: argparse.Namespace, settings: Settings) -> int:
    async with services_for(settings) as services:
        return await perform(services, arguments)


async def perform(services: Services, arguments: argparse.Namespace) -> int:
    """Do it on the database that is open, print what came of it; the exit status.

    Raises:
        ValueError: neither a day nor an action, or no difference is named.
    """
    if arguments.what == "list":
        await _print_items()
        return 0
    if arguments.what not in ("take-up", "resolve", "reopen"):
        return await _reconcile(services, date.fromisoformat(arguments.what))
    if arguments.item_id is None:
        raise ValueError("name the difference: its id stands in the list")
    actor = console.actor()
    if arguments.what == "take-up":
        await items.take_up(arguments.item_id, actor)
    else:
        act = items.resolve if arguments.what == "resolve" else items.reopen
        await act(arguments.item_id, actor, arguments.reason, arguments.approver)
    print(f"{arguments.what} {arguments.item_id}")
    return 0


async def _reconcile(services: Services, day: date) -> int:
    for outcome in await services.reconciling.day(day):
        if outcome.state != "matched":
            print(f"{outcome.party.company} {outcome.party.source}: {outcome.state}", file=sys.stderr)
    rows = await report(day)
    print(render(day, rows))
    return 1 if any(row.unexplained_fen or row.items for row in rows) else 0


def render(day: date, rows: list[DayRow]) -> str:
    """The report as text: a line per merchant and provider, amounts in yuan."""
    head = Printed("商户", "支付机构收款", "我方收款", "企业入账", "退款（机构/我方）", "手续费", "差异", "未说明金额")
    lines = [head, *(printed(row) for row in rows)]
    total_fen = sum(row.unexplained_fen for row in rows)
    table = "\n".join("\t".join(line) for line in lines)
    return f"{day} 对账\n{table}\n合计未说明 {yuan(total_fen)} 元，差异 {sum(row.items for row in rows)} 笔"


def printed(row: DayRow) -> Printed:
    """One merchant's line."""
    return Printed(
        f"{row.company} {row.source} {row.party}",
        _STATES[row.state] if row.paid_fen is None else yuan(row.paid_fen),
        yuan(row.received_fen),
        _STATES.get(row.company_state, "无") if row.company_fen is None else yuan(row.company_fen),
        f"{'-' if row.refunded_fen is None else yuan(row.refunded_fen)}/{yuan(row.returned_fen)}",
        "-" if row.fee_millifen is None else yuan(round(row.fee_millifen / 1000)),
        str(row.items),
        yuan(row.unexplained_fen),
    )


async def _print_items() -> None:
    count, after = 0, None
    while page := await items.open_items(after=after):
        for item in page:
            ours, theirs = (("-" if fen is None else yuan(fen)) for fen in (item["ours_fen"], item["theirs_fen"]))
            print(
                f"{item['id']}\t{item['day']}\t{item['company']}\t{item['source']}\t{_KINDS[item['kind']]}\t{item['number']}"
                f"\t我方{ours} 对方{theirs}\t{_OWNERS[item['owner']]}\t{_age(item['age'])}\t{item['detail']}"
            )
        count, after = count + len(page), page[-1]["id"]
    print(f"共 {count} 笔差异没有说明")


def yuan(fen: int) -> str:
    """Yuan with two decimals."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02}"


def _age(age: timedelta) -> str:
    hours, minutes = divmod(int(age.total_seconds()) // 60, 60)
    return f"{hours // 24}天{hours % 24}小时" if hours >= 24 else f"{hours}小时{minutes}分"
