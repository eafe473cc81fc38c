"""Notices of WeChat Pay: sealed, signed, repeated on schedule until taken, probed, and scriptable."""

import json
import time
from typing import Any

from sandbox.wechat_pay_notices import WAITS_S
from tests.sandbox.wechat_support import PUBLIC_KEY_ID, Received, World, is_signed, unsealed


async def order_of(wechat: World, out_trade_no: str) -> dict[str, Any]:
    orders = (await wechat.control("GET", "/wechat-pay/orders"))["orders"]
    return next(order for order in orders if order["out_trade_no"] == out_trade_no)


async def attempted(wechat: World, out_trade_no: str, attempts: int) -> str:
    """The state of an order's notice once the sandbox has noted its last attempt."""
    while True:
        (notice,) = (await order_of(wechat, out_trade_no))["notices"]
        if notice["attempts"] >= attempts:
            return notice["status"]


def id_of(received: Received) -> str:
    return json.loads(received.body)["id"]


async def test_a_paid_order_is_told_in_a_sealed_and_signed_notice(wechat: World) -> None:
    await wechat.paid_order("NOTICE-0001")
    received = await wechat.product.next()
    assert (received.method, received.path, received.query) == ("POST", "/notify", "")
    assert received.headers["wechatpay-serial"] == PUBLIC_KEY_ID
    assert is_signed(received.headers, received.body)
    assert abs(int(received.headers["wechatpay-timestamp"]) - time.time()) < 5
    notice = json.loads(received.body)
    assert len(notice["id"]) <= 36
    assert (notice["event_type"], notice["resource_type"]) == ("TRANSACTION.SUCCESS", "encrypt-resource")
    assert notice["resource"]["original_type"] == "transaction"
    assert unsealed(notice["resource"]) == (await wechat.pay.query("NOTICE-0001")).json()


async def test_the_first_notice_of_an_order_is_preceded_by_a_signature_probe(wechat: World) -> None:
    await wechat.paid_order("PROBE-0001")
    real = await wechat.product.next()
    (probe,) = wechat.product.probes
    assert probe.path == real.path
    assert id_of(probe) != id_of(real)
    assert unsealed(json.loads(probe.body)["resource"])["out_trade_no"] == "PROBE-0001"
    assert (await order_of(wechat, "PROBE-0001"))["probe"] == {"answer": 401, "refused": True}


async def test_a_product_that_takes_the_probe_is_found_out(wechat: World) -> None:
    wechat.product.accepts_probes = True
    await wechat.paid_order("PROBE-0002")
    await wechat.product.next()
    assert (await order_of(wechat, "PROBE-0002"))["probe"] == {"answer": 204, "refused": False}


async def test_a_notice_is_repeated_under_its_id_until_it_is_taken(wechat: World) -> None:
    await wechat.control("POST", "/wechat-pay/pace", {"factor": 600})
    wechat.product.answers = [(500, b""), (404, b""), (302, b""), (201, b""), (200, b"")]
    await wechat.paid_order("REPEAT-0001")
    received = [await wechat.product.next() for _ in range(5)]
    assert len({id_of(one) for one in received}) == 1
    assert len({one.body for one in received}) == 1
    assert len({one.headers["wechatpay-signature"] for one in received}) == 5
    assert all(is_signed(one.headers, one.body) for one in received)
    assert len(wechat.product.probes) == 1


async def test_the_real_schedule_waits_15_seconds_and_gives_up_after_a_day(wechat: World) -> None:
    wechat.product.answers = [(500, b"")] * 100
    await wechat.paid_order("SCHEDULE-0001")
    await wechat.product.next()
    assert await attempted(wechat, "SCHEDULE-0001", 1) == "pending"
    elapsed_s, number, status = 0, 1, "pending"
    minute, hour = 60, 3600
    waits_s = [15, 15, 30, 3 * minute, 10 * minute, 20 * minute, 30 * minute, 30 * minute, 30 * minute, hour]
    waits_s += [3 * hour, 3 * hour, 3 * hour, 6 * hour, 6 * hour]
    assert list(WAITS_S) == waits_s
    for number, wait_s in enumerate(waits_s, start=2):
        elapsed_s += wait_s + 1
        wechat.travel(elapsed_s)
        received = await wechat.product.next()
        assert int(received.headers["wechatpay-timestamp"]) >= time.time() + elapsed_s - 5
        status = await attempted(wechat, "SCHEDULE-0001", number)
    assert (number, status) == (16, "given_up")


async def test_a_notice_is_not_repeated_before_its_time(wechat: World) -> None:
    wechat.product.answers = [(500, b"")]
    await wechat.paid_order("EARLY-0001")
    await wechat.product.next()
    assert await attempted(wechat, "EARLY-0001", 1) == "pending"
    wechat.travel(13)
    await wechat.paid_order("EARLY-0002")  # its notice passes through the same outbox meanwhile
    following = await wechat.product.next()
    assert unsealed(json.loads(following.body)["resource"])["out_trade_no"] == "EARLY-0002"
    assert (await order_of(wechat, "EARLY-0001"))["notices"][0]["attempts"] == 1


async def test_silence_swallows_a_notice_for_ever(wechat: World) -> None:
    await wechat.fault("wechat_pay", "notice", "silence", times=1)
    await wechat.paid_order("SILENT-0001")
    await wechat.paid_order("SILENT-0002")
    received = await wechat.product.next()
    assert unsealed(json.loads(received.body)["resource"])["out_trade_no"] == "SILENT-0002"
    assert (await order_of(wechat, "SILENT-0001"))["notices"][0]["status"] == "silenced"
    assert (await wechat.pay.query("SILENT-0001")).json()["trade_state"] == "SUCCESS"


async def test_duplicate_sends_the_same_notice_twice(wechat: World) -> None:
    await wechat.fault("wechat_pay", "notice", "duplicate", times=1)
    await wechat.paid_order("TWICE-0001")
    first, second = await wechat.product.next(), await wechat.product.next()
    assert first.body == second.body


async def test_reorder_holds_a_notice_until_the_next_has_left(wechat: World) -> None:
    await wechat.fault("wechat_pay", "notice", "reorder", times=1)
    await wechat.paid_order("ORDER-A-0001")
    await wechat.paid_order("ORDER-B-0001")
    received = [json.loads((await wechat.product.next()).body)["resource"] for _ in range(2)]
    assert [unsealed(resource)["out_trade_no"] for resource in received] == ["ORDER-B-0001", "ORDER-A-0001"]


async def test_a_forged_notice_is_followed_by_the_right_one(wechat: World) -> None:
    await wechat.control("POST", "/wechat-pay/pace", {"factor": 600})
    await wechat.fault("wechat_pay", "notice", "forge", times=1)
    wechat.product.answers = [(401, b"")]
    await wechat.paid_order("FORGE-0001")
    forged, right = await wechat.product.next(), await wechat.product.next()
    assert not is_signed(forged.headers, forged.body)
    assert is_signed(right.headers, right.body)
    assert id_of(forged) == id_of(right)


async def test_a_notice_is_sent_again_by_hand_as_it_was_or_spoiled(wechat: World) -> None:
    await wechat.paid_order("HAND-0001")
    first = await wechat.product.next()
    path = "/wechat-pay/orders/HAND-0001/notify"

    assert await wechat.control("POST", path, {"times": 2}) == {"answers": [204, 204]}
    for _ in range(2):
        again = await wechat.product.next()
        assert again.body == first.body
        assert is_signed(again.headers, again.body)

    await wechat.control("POST", path, {"mutate": {"amount": {"total": 1}, "sub_mchid": "1900000102"}})
    mutated = await wechat.product.next()
    content = unsealed(json.loads(mutated.body)["resource"])
    assert (content["amount"], content["sub_mchid"]) == ({"total": 1}, "1900000102")
    assert is_signed(mutated.headers, mutated.body)
    assert id_of(mutated) != id_of(first)

    await wechat.control("POST", path, {"sign_with": "stranger"})
    stranger = await wechat.product.next()
    assert stranger.headers["wechatpay-serial"] == PUBLIC_KEY_ID
    assert not is_signed(stranger.headers, stranger.body)

    await wechat.control("POST", path, {"late_s": 301})
    late = await wechat.product.next()
    assert is_signed(late.headers, late.body)
    assert int(late.headers["wechatpay-timestamp"]) <= time.time() - 300

    assert await wechat.control("POST", path, {"sign_with": "signtest"}) == {"answers": [401]}


async def test_an_unpaid_order_can_be_claimed_paid_by_a_spoiled_notice(wechat: World) -> None:
    person = await wechat.person()
    await wechat.pay.open(wechat.order("CLAIM-0001", person["openid"]))
    await wechat.control("POST", "/wechat-pay/orders/CLAIM-0001/notify", {"mutate": {"trade_state": "SUCCESS"}})
    content = unsealed(json.loads((await wechat.product.next()).body)["resource"])
    assert (content["trade_state"], "transaction_id" in content) == ("SUCCESS", False)
    assert (await wechat.pay.query("CLAIM-0001")).json()["trade_state"] == "NOTPAY"
