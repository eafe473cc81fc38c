"""The sandbox itself: a process that forgets nothing it has answered for, faults that happen as planned."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandbox.test_wechat_pay_refunds import asked
from tests.sandbox.test_wechat_platform import token
from tests.sandbox.wechat_support import APPID, ONE_OFF, Merchant, Product, World, configuration, unsealed

PORT = 19130 + 4 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10)


class Process:
    """``python -m sandbox`` as ``lianban dev`` starts it."""

    def __init__(self, folder: Path, product: Product) -> None:
        self.config = folder / "sandbox.json"
        self.config.write_text(json.dumps(configuration(folder, product.url)), encoding="utf-8")
        self.running: subprocess.Popen[bytes] | None = None

    async def start(self, http: httpx.AsyncClient) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "sandbox", "--config", str(self.config), "--port", str(PORT), "--stdin-guard"]
        self.running = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: ASYNC220 it returns at once
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and self.running.poll() is None:
            try:
                if (await http.get(f"http://127.0.0.1:{PORT}/control/health")).status_code == 200:
                    return self.running
            except httpx.HTTPError:
                await asyncio.sleep(0.05)  # another process starts; nothing here tells when it listens
        raise AssertionError("the sandbox did not start")

    def end(self) -> None:
        if self.running is not None:
            if self.running.poll() is None:
                self.running.kill()
            self.running.wait(10)
            assert self.running.stdin is not None
            self.running.stdin.close()
            self.running = None


@asynccontextmanager
async def process(folder: Path) -> AsyncIterator[tuple[World, Process]]:
    async with Product().serving() as product, httpx.AsyncClient(trust_env=False, timeout=10) as http:
        running = Process(folder, product)
        try:
            await running.start(http)
            pay = Merchant(f"http://127.0.0.1:{PORT + 1}", http)
            yield World(folder, f"http://127.0.0.1:{PORT}", pay, http, product), running
        finally:
            running.end()


async def test_a_kill_loses_nothing_that_was_answered_for(tmp_path: Path) -> None:
    async with process(tmp_path) as (world, running):
        world.product.answers = [(500, b"")]
        person = await world.paid_order("KILL-0001")
        first = await world.product.next()
        code = (await world.control("POST", f"/people/{person['person_id']}/login-code", {"appid": APPID}))["code"]
        body = {"appid": APPID, "template_ids": [ONE_OFF], "accept": True}
        await world.control("POST", f"/people/{person['person_id']}/subscribe", body)
        access_token = (await token(world))["access_token"]
        assert (await world.pay.refund(asked("KILL-0001", "R-KILL", 60))).status_code == 200
        await world.fault("wechat_pay", "close", "error", times=1, status=503)
        running.end()

        world.travel(30)  # the first repetition and the refund are due
        await running.start(world.http)
        again = await world.product.next()
        while again.path != "/notify":
            again = await world.product.next()
        assert again.body == first.body
        assert len(world.product.probes) == 1
        assert (await world.pay.query("KILL-0001")).json()["trade_state"] == "REFUND"
        assert (await token(world))["access_token"] == access_token
        query = {"appid": APPID, "secret": "0123456789abcdef0123456789abcdef", "js_code": code}
        query["grant_type"] = "authorization_code"
        session = (await world.http.get(f"{world.base_url}/sns/jscode2session", params=query)).json()
        assert session["openid"] == person["openid"]
        credits_left = (await world.control("GET", f"/people/{person['person_id']}/messages"))["credits"]
        assert [credit["left_over"] for credit in credits_left] == [1]
        assert (await world.pay.close("KILL-0001")).status_code == 503
        assert (await world.pay.close("KILL-0001")).json()["code"] == "ORDER_PAID"


async def test_a_notice_not_yet_sent_leaves_after_the_restart(tmp_path: Path) -> None:
    async with process(tmp_path) as (world, running):
        await world.fault("wechat_pay", "notice", "latency", latency_s=30, times=1)
        await world.paid_order("PENDING-0001")
        async with asyncio.timeout(10):
            # Killed before it has begun to wait, it would wait after the restart.
            while (await world.control("GET", "/faults"))["faults"]:  # noqa: ASYNC110 -- another process
                await asyncio.sleep(0.02)  # the fault is taken when the notice is on its way; nothing else tells
        running.end()
        assert world.product.received.empty()
        await running.start(world.http)
        notice = json.loads((await world.product.next()).body)
        assert unsealed(notice["resource"])["out_trade_no"] == "PENDING-0001"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, "stdin"])
async def test_it_stops_when_told_and_when_its_parent_is_gone(tmp_path: Path, how: signal.Signals | str) -> None:
    async with process(tmp_path) as (_, running):
        child = running.running
        assert child is not None
        if isinstance(how, str):
            assert child.stdin is not None
            child.stdin.close()
        else:
            child.send_signal(how)
        assert child.wait(10) == 0


async def test_a_taken_port_and_a_broken_file_end_it_with_a_sentence(tmp_path: Path) -> None:
    def run(config: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sandbox", "--config", str(config), "--port", str(PORT)]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    async with process(tmp_path) as (_, running):
        second = run(running.config)
        assert (second.returncode, "ports" in second.stderr) == (1, True)
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    third = run(broken)
    assert (third.returncode, "cannot be read" in third.stderr) == (2, True)


async def test_a_drop_closes_the_connection_before_or_after_the_work(wechat: World) -> None:
    person = await wechat.person()
    for number, after in (("DROP-0001", False), ("DROP-0002", True)):
        await wechat.fault("wechat_pay", "order", "drop", times=1, after=after)
        with pytest.raises(httpx.TransportError):
            await wechat.pay.open(wechat.order(number, person["openid"]))
    assert (await wechat.pay.query("DROP-0001")).status_code == 404
    assert (await wechat.pay.query("DROP-0002")).status_code == 200


async def test_a_hang_leaves_the_caller_waiting_with_the_work_done(wechat: World) -> None:
    person = await wechat.person()
    await wechat.fault("wechat_pay", "order", "hang", times=1, after=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await wechat.pay.open(wechat.order("HANG-0001", person["openid"]))
    assert (await wechat.pay.query("HANG-0001")).status_code == 200


async def test_work_behind_a_latency_is_done_although_the_caller_has_left(wechat: World) -> None:
    person = await wechat.person()
    await wechat.fault("wechat_pay", "order", "latency", times=1, latency_s=0.5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await wechat.pay.open(wechat.order("SLOW-0001", person["openid"]))
    assert (await wechat.pay.query("SLOW-0001")).status_code == 404
    async with asyncio.timeout(5):
        while (await wechat.pay.query("SLOW-0001")).status_code != 200:
            pass


async def test_an_error_does_nothing_and_ends_after_its_times(wechat: World) -> None:
    person = await wechat.person()
    await wechat.fault("wechat_pay", "*", "error", times=2, status=502)
    body = wechat.order("ERROR-0001", person["openid"])
    answers = [await wechat.pay.open(body) for _ in range(2)]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(502, "SYSTEM_ERROR")] * 2
    assert (await wechat.pay.query("ERROR-0001")).status_code == 404
    assert (await wechat.pay.open(body)).status_code == 200


async def test_an_error_of_the_platform_is_busy(wechat: World) -> None:
    await wechat.fault("wechat", "stable_token", "error", status=503)
    response = await wechat.http.post(f"{wechat.base_url}/cgi-bin/stable_token", json={})
    assert (response.status_code, response.json()["errcode"]) == (503, -1)
    assert (await wechat.control("GET", "/faults"))["faults"][0]["times"] is None
    await wechat.control("DELETE", "/faults")
    assert (await wechat.control("GET", "/faults")) == {"faults": []}
    assert "access_token" in await token(wechat)


@pytest.mark.parametrize(
    "body",
    [
        {"counterpart": "wechat_pay", "operation": "orders", "fault": "drop"},
        {"counterpart": "wechatpay", "operation": "*", "fault": "drop"},
        {"counterpart": "wechat_pay", "operation": "order", "fault": "silence"},
        {"counterpart": "wechat_pay", "operation": "notice", "fault": "drop"},
        {"counterpart": "wechat_pay", "operation": "order", "fault": "explode"},
        {"counterpart": "wechat_pay", "operation": "order", "fault": "drop", "times": 0},
        {"counterpart": "wechat_pay", "operation": "order", "fault": "error", "status": 200},
        {"counterpart": "wechat_pay", "operation": "order", "fault": "drop", "afterwards": True},
        {"operation": "order", "fault": "drop"},
    ],
)
async def test_a_fault_that_could_never_happen_is_refused(wechat: World, body: dict[str, Any]) -> None:
    response = await wechat.http.post(f"{wechat.base_url}/control/faults", json=body)
    assert response.status_code == 400
    assert "error" in response.json()


async def test_calls_are_counted_by_operation_and_id(wechat: World) -> None:
    await wechat.paid_order("COUNT-0001")
    for _ in range(3):
        await wechat.pay.query("COUNT-0001")
    calls = (await wechat.control("GET", "/calls?counterpart=wechat_pay"))["calls"]
    assert [(call["operation"], call["id"], call["count"]) for call in calls] == [
        ("order", "COUNT-0001", 1),
        ("query", "COUNT-0001", 3),
    ]


async def test_a_reset_brings_back_the_configuration(wechat: World) -> None:
    await wechat.paid_order("RESET-0001")
    await wechat.fault("wechat_pay", "order", "drop")
    await wechat.control("POST", "/reset")
    for path, empty in (
        ("/people", {"people": []}),
        ("/wechat-pay/orders", {"orders": []}),
        ("/faults", {"faults": []}),
        ("/calls", {"calls": []}),
    ):
        assert await wechat.control("GET", path) == empty
    assert (await wechat.person())["openid"]


async def test_a_message_held_back_does_not_outlive_a_reset(wechat: World) -> None:
    await wechat.fault("wechat_pay", "notice", "reorder", times=1)
    await wechat.paid_order("HELD-0001")
    while (await wechat.control("GET", "/faults"))["faults"]:
        pass  # until the notice is held
    await wechat.control("POST", "/reset")
    await wechat.paid_order("HELD-0002")
    notice = json.loads((await wechat.product.next()).body)
    assert unsealed(notice["resource"])["out_trade_no"] == "HELD-0002"
    assert wechat.product.received.empty()
