"""The stories of ``lianban demo``, played over HTTP against everything composed: people and time are the test's, the rest is real."""

import argparse
import io
from collections.abc import Awaitable, Callable
from contextlib import redirect_stdout
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from core import clock
from core.database import fetch
from domain.identity.mandates import expire_mandates
from lianban import demo, reconcile
from lianban.phone import Phone
from lianban.story import Teller
from tests.harness.spine import Spine


class _Device(Phone):
    """A device in a town whose worker is quicker than people: whatever a call has set going is done before the next."""

    def __init__(self, spine: Spine, sandbox_url: str) -> None:
        super().__init__(spine.services.settings.public_url, sandbox_url, spine.services.settings.wechat.appid)
        self._spine = spine

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        answer = await super().call(method, path, body, key=key)
        await self._spine.jobs.run()
        return answer


class _Town:
    """The world of a story, in which a second passes at each look."""

    def __init__(self, spine: Spine) -> None:
        self.settings = spine.services.settings
        self._spine = spine
        self._home: datetime | None = None

    def device(self) -> Phone:
        return _Device(self._spine, self.settings.endpoints.wechat)

    async def wait(self) -> None:
        await self._spine.jobs.pass_time(timedelta(seconds=1))

    async def travel_to(self, moment: datetime) -> None:
        await self._spine.travel(moment - clock.now())
        await expire_mandates()  # as the timetable does, twice a minute

        await self._strike()

    async def go_back_to(self, moment: datetime) -> None:
        self._home = self._home or clock.now()
        await self._spine.travel(moment - clock.now())

    async def come_home(self) -> None:
        if self._home is not None:
            await self._spine.travel(self._home - clock.now())

    async def _strike(self) -> None:
        """What the timetable does again and again."""
        services = self._spine.services
        for work in (services.tolerances.watch, services.credit.confirm_due, services.watch.run):
            await work()
            await self._spine.jobs.run()

    async def reconcile(self, day: date) -> list[str]:
        parser = argparse.ArgumentParser()
        reconcile.add_arguments(parser)
        with redirect_stdout(io.StringIO()) as printed:
            await reconcile.perform(self._spine.services, parser.parse_args([day.isoformat()]))
        return printed.getvalue().splitlines()


@pytest.fixture
async def told(spine: Spine, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Awaitable[str]]:
    """Plays a story to its end; what it has printed."""
    await spine.let_speak()
    await spine.control("POST", "/wechat-pay/pace", {"factor": 60})
    await spine.control("POST", "/companies/telecom_cm/latency", {"seconds": [0, 0]})

    async def play(story: str) -> str:
        await demo.STORIES[story](_Town(spine), Teller())
        return capsys.readouterr().out

    return play


async def test_a_family_pays_four_companies_at_once_on_a_bad_day(
    spine: Spine, told: Callable[[str], Awaitable[str]]
) -> None:
    assert "两边一致" in await told("pay")
    said = await told("family")
    assert "登录方式 wechat_mini_program、ehuiban" in said
    assert "5 个户号，已知 456.89元" in said
    assert "同一编号收到销账 2 次、查询 2 次，只记一笔" in said
    assert "缴费单 posted_in_part，鄂汇办上看到的一样" in said
    assert "爱人替您缴了网费" in said
    assert "合计未说明 0.00 元，差异 0 笔" in said
    (refund,) = await fetch("select amount_fen, status, reason from refund")
    assert tuple(refund) == (8900, "succeeded", "already_paid")
    assert await spine.balance("suspense") == 0
    again = await told("family")
    assert "合计未说明 0.00 元，差异 0 笔" in again, "another day, another household"


async def test_a_company_s_agent_pays_until_his_time_is_over(
    spine: Spine, told: Callable[[str], Awaitable[str]]
) -> None:
    said = await told("agent")
    assert "403 请先以单位身份登录（organization_not_proved）" in said
    assert "单位 2 个户号，已知 1187.00元；他个人名下 0 个" in said
    assert "捡到任命码，在鄂汇办登录后输入\n       ← 422" in said
    assert "1 个：水费，欠 301.00元" in said
    assert "单位的缴费记录 1 笔；他个人的 0 笔" in said
    assert "用刚才的报价缴费：404" in said
    assert said.count("（mandate_exceeds）") == 3
    assert "正要缴电费 886.00元，点缴费\n       ← 404" in said
    assert "还剩 1 位" in said
    rows = await fetch("select status, ended_by from mandate order by created_at")
    assert [tuple(row) for row in rows] == [
        ("active", None),
        ("expired", None),
        ("revoked", "appointer"),
        ("revoked", "above"),
    ]
    (payment,) = await fetch("select person_id, organization_id is null as nobody_s, total_fen from payment")
    assert tuple(payment) == (None, False, 12040)
    await told("agent")


async def test_an_enterprise_is_connected_to_four_companies_by_one_form(
    spine: Spine, told: Callable[[str], Awaitable[str]]
) -> None:
    said = await told("application")
    assert "（draft_changed）" in said
    assert "（consent_missing）" in said
    assert "4 个子单，两次是同一件" in said
    assert "阶段 your_turn，等企业的：安泰天然气" in said
    assert "踏勘 420 米，承诺 3 个工作日，2024-10-15 前办结" in said
    assert "（papers_needed）\n       ← 缺 建设工程规划许可证、总平面图、给排水和消防图纸" in said
    assert "第一个都行的时间：10-12 09:30" in said
    assert "2024-10-12 计入：调休上班，" in said
    assert "2024-10-13 不计：周末" in said
    assert "1 家已通，阶段 partly_connected" in said
    assert "10-15，验收、接通" in said
    assert "全部接通，都按时" in said
    assert "（progress_refused）\n       ← connected，4 家的日期" in said
    orders = await fetch(
        "select status, corrections, distance_source from service_order where not pushed order by company"
    )
    assert [tuple(row) for row in orders] == [("connected", int(place == 0), "surveyed") for place in range(4)]
    assert "0 材料：" in said
    assert "供水：1 已接件 → 3 已受理 → 8 部门开始办理" in said
    pushed = await fetch("select distinct status, main_laid from service_order where pushed order by main_laid")
    assert [tuple(row) for row in pushed] == [("connected", False), ("connected", True)]
    told_kinds = {row["kind"] for row in await fetch("select kind from message where channel = 'inbox'")}
    assert told_kinds >= {
        "application.filed", "application.accepted", "application.sent_back", "application.surveyed", "application.plan_replied",
        "application.constructing", "application.inspected", "application.connected",
    }  # fmt: skip
