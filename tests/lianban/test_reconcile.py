"""The command reconciles a day, prints it to the fen, and lets a person end what differs."""

import argparse
import os
import pwd

import pytest

from core.database import fetch_one
from lianban import reconcile
from payments.reconciliation.items import ReasonMissing
from tests.harness.spine import Spine
from tests.payments.reconciliation import days


def _arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    reconcile.add_arguments(parser)
    return parser.parse_args(list(words))


async def test_a_day_is_printed_to_the_fen_and_a_difference_is_ended(
    spine: Spine, capsys: pytest.CaptureFixture[str]
) -> None:
    day = await days.begin_day(spine)
    citizen = await spine.citizen()
    await spine.paid(citizen, await spine.account(4199))
    await spine.paid(citizen, await spine.account(1))
    await days.morning_after(spine, day)
    assert await reconcile.perform(spine.services, _arguments(str(day))) == 0
    said = capsys.readouterr().out
    assert "\t42.00\t42.00\t42.00\t0.00/0.00\t" in said
    assert said.strip().endswith("合计未说明 0.00 元，差异 0 笔")


async def test_what_differs_is_listed_with_its_owner_and_ended_by_two(
    spine: Spine, capsys: pytest.CaptureFixture[str]
) -> None:
    day = await days.begin_day(spine)
    await spine.paid(await spine.citizen(), await spine.account(4199))
    posting = await fetch_one("select id from posting")
    assert posting is not None
    await days.morning_after(spine, day)
    await days.spoil_postings(spine, day, drop=[str(posting["id"])])
    assert await reconcile.perform(spine.services, _arguments(str(day))) == 1
    assert "合计未说明 41.99 元，差异 1 笔" in capsys.readouterr().out
    await reconcile.perform(spine.services, _arguments("list"))
    listed = capsys.readouterr().out
    assert "已收款，企业未入账" in listed
    assert "企业财务" in listed
    item_id = listed.split("\t")[0]
    await reconcile.perform(spine.services, _arguments("take-up", item_id))
    for nobody in (pwd.getpwuid(os.getuid()).pw_name.upper(), "w" * 61):
        alone = _arguments("resolve", item_id, "--reason", "企业次日补记", "--approver", nobody)
        with pytest.raises(ReasonMissing):
            await reconcile.perform(spine.services, alone)
    agreed = _arguments("resolve", item_id, "--reason", "企业次日补记", "--approver", "wang")
    assert await reconcile.perform(spine.services, agreed) == 0
    await reconcile.perform(spine.services, _arguments("list"))
    assert "共 0 笔" in capsys.readouterr().out
    assert await reconcile.perform(spine.services, _arguments(str(day))) == 0


async def test_neither_a_day_nor_an_action_is_refused(spine: Spine) -> None:
    for words in (("yesterday",), ("resolve",)):
        with pytest.raises(ValueError, match=r"."):
            await reconcile.perform(spine.services, _arguments(*words))
