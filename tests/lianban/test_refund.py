"""``lianban refund`` shows what waits for a person, and asks for a refund in the name of who types it."""

import argparse
import os
import pwd

import pytest

from core.database import fetch
from lianban import refund
from lianban.__main__ import COMMANDS
from tests.harness.spine import MINUTE, WATER, Spine


def _arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    refund.add_arguments(parser)
    return parser.parse_args(words)


async def test_a_closed_refund_is_listed_and_asked_for_again_by_two(
    spine: Spine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "refund" in COMMANDS
    citizen = await spine.citizen()
    number = await spine.account(4199)
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": "EP0002"})
    payment = await spine.payment(citizen, number)
    await spine.notify(await spine.pay(citizen, payment))
    await spine.close_refunds(3)
    await spine.travel(50 * 60 * MINUTE)
    await refund.perform(_arguments("list"))
    *_logged, row, count = capsys.readouterr().out.splitlines()
    assert row.split("\t")[0] == str(payment.id)
    assert row.split("\t")[2:] == ["已被支付机构关闭", "41.99元", "amount_changed", "第3次", "2天2小时"]
    assert count == "共 1 笔未完成的退款"
    monkeypatch.setenv("LOGNAME", "somebody-else")
    await refund.perform(_arguments("again", str(payment.id), "--reason", "账户已恢复", "--approver", "the-other"))
    assert "已登记退款" in capsys.readouterr().out
    (row,) = await fetch("select actor_id from audit where action = 'refund.requested_by_hand'")
    assert row["actor_id"] == f"console:{pwd.getpwuid(os.getuid()).pw_name}"
    await spine.jobs.run()
    await spine.end_refunds()
    await spine.jobs.pass_time(10 * MINUTE)
    await refund.perform(_arguments("list"))
    assert capsys.readouterr().out.endswith("共 0 笔未完成的退款\n")
