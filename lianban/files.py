"""``lianban files``: files of companies without an interface that need a person, and giving back what one never answered."""

import argparse

from core.settings import Settings
from domain.billing.files_by_hand import at_fault, give_back
from lianban import console
from lianban.app import services_for
from payments.refunding import ByHand

_KINDS = {"accounts": "户号和账单", "postings": "我方送出的缴费", "answers": "对缴费的答复"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do with which file."""
    console.add_var(parser)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="files that were refused or are overdue, oldest first")
    back = actions.add_parser(
        "give-back", help="return what a file of postings paid for, once its company has none of it"
    )
    back.add_argument("company")
    back.add_argument("name", help="the file of ours, such as postings-20261123-1.ndjson")
    back.add_argument("--reason", required=True, help="what the company said, for the record; no personal data")
    back.add_argument("--approver", required=True, help="the login of the other person who has agreed")


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 with a sentence when it is refused."""
    return console.carried_out(arguments.var, lambda settings: _act(arguments, settings))


async def _act(arguments: argparse.Namespace, settings: Settings) -> int:
    async with services_for(settings):
        await perform(arguments)
    return 0


async def perform(arguments: argparse.Namespace) -> None:
    """Do it on the database that is open, and print what came of it."""
    if arguments.action == "give-back":
        by_hand = ByHand(console.actor(), arguments.approver, arguments.reason)
        count = await give_back(arguments.company, arguments.name, by_hand)
        print(f"{count} 笔按企业没有入账处理，钱由后台退回付款人；用 lianban refund list 查看进展")
        return
    rows = await at_fault(None)
    for row in rows:
        why = f"没有收下：{row['refusal']}" if row["refusal"] else "逾期未到"
        waits = f"\t{row['unanswered']}笔等答复" if row["unanswered"] else ""
        print(f"{row['company']}\t{row['name']}\t{_KINDS[row['kind']]}\t{why}{waits}")
    print(f"共 {len(rows)} 份要人处理的文件")
