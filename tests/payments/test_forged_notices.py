"""Every field of a notice changed in every way, and signed with the provider's own key: no row of ours changes, and the true word still counts.

One walk for each kind of notice. A field that may differ says why; all others, also those that are added later, must not.
"""

import copy
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from core.database import fetch
from core.settings import Settings
from models.payment import Payment
from models.refund import Refund
from tests.harness.senders import Senders
from tests.harness.spine import WATER, Citizen, Spine, Way
from tests.harness.world import DevFiles

FEN = 4199
Path = tuple[str | int, ...]
_MISSING = object()

MAY_DIFFER: dict[str, str] = {
    "trade_type": "how it was paid is told to nobody",
    "trade_state_desc": "words for people",
    "bank_type": "not kept",
    "attach": "not kept",
    "success_time": "the provider's own time; when it is none the notice is refused",
    "payer": "whoever is at the cashier pays",
    "combine_payer_info": "whoever is at the cashier pays",
    "payer_total": "what a coupon pays counts as paid",
    "payer_refund": "a coupon's share goes back as a coupon",
    "payer_currency": "of what the payer's own bank has taken",
    "payer_amount": "what a coupon pays counts as paid",
    "promotion_detail": "coupons",
    "user_received_account": "words for people",
}
"""Fields whose value is not ours to judge."""
LEARNED = {
    "transaction_id": "the provider's own number of the trade is learned with the money: another that has its shape is as good",
}
"""Fields that we learn: any value of their shape will do the first time."""


def _paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every leaf that must not differ."""
    items: Iterator[tuple[Any, Any]] = iter(value.items()) if isinstance(value, dict) else iter(enumerate(value))
    for name, inner in items:
        if name in MAY_DIFFER:
            continue
        if isinstance(inner, dict | list):
            yield (*path, name), inner
            yield from _paths(inner, (*path, name))
        else:
            yield (*path, name), inner


def _wrongs(value: Any) -> Iterator[Any]:
    """What may stand in its place."""
    yield from (_MISSING, None, [], {}, True, "")
    if isinstance(value, str):
        turned = "1" if value[-1] != "1" else "2"
        yield from (
            value[:-1] + turned,
            value + "0",
            value + " ",
            " " + value,
            value.swapcase() + "x",
            value + "\\0",
            [value],
            7,
        )
    if isinstance(value, int):
        yield from (value - 1, value + 1, 0, -value, value * 100, str(value), value + 0.5, [value], 10**20)
    if isinstance(value, list) and value:
        yield from (value[:-1], [*value, value[0]], list(reversed(value))[:1] * len(value), {"0": value[0]})


def _shaped(value: Any, wrong: Any) -> bool:
    """A text of letters and digits as the provider's numbers are."""
    return isinstance(value, str) and isinstance(wrong, str) and wrong.isalnum()


def _spoiled(resource: dict[str, Any], learned: bool, parts: tuple[int, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Copies of a resource, each with one leaf changed."""
    for path, value in _paths(resource):
        if any(isinstance(name, int) and name not in parts for name in path):
            continue
        for wrong in _wrongs(value):
            if (wrong == value and type(wrong) is type(value)) or (
                learned and path[-1] in LEARNED and _shaped(value, wrong)
            ):
                continue
            spoiled = copy.deepcopy(resource)
            inner: Any = spoiled
            for name in path[:-1]:
                inner = inner[name]
            if wrong is not _MISSING:
                inner[path[-1]] = wrong
            elif isinstance(inner, dict):
                del inner[path[-1]]
            else:
                continue
            yield f"{path} = {'nothing' if wrong is _MISSING else wrong!r}"[:80], spoiled


async def _nothing_planned(spine: Spine) -> None:
    """Run what is due and put off all else: a look at the provider of our own would find the truth in the middle of the lies."""
    await spine.jobs.run()
    await fetch("update procrastinate_jobs set scheduled_at = now() + interval '1 hour' where status = 'todo'")


class Forger:
    """Sends notices of WeChat Pay under its own key, whatever they say."""

    def __init__(self, spine: Spine, senders: Senders, http: httpx.AsyncClient) -> None:
        self.spine = spine
        self.senders = senders
        self.http = http

    async def tell(self, event_type: str, resource: dict[str, Any]) -> int:
        """What our door answers; what it has taken is worked on."""
        _, headers, body = self.senders.wechat_pay(event_type, resource)
        response = await self.http.post("/callbacks/wechat-pay", content=body, headers=headers)
        if response.status_code == 204:
            await self.spine.jobs.run()
        return response.status_code

    async def walk(
        self, event_type: str, resource: dict[str, Any], *, learned: bool = True, parts: tuple[int, ...] = ()
    ) -> int:
        """Tell every lie about it (of a list's members about those in `parts`); how many there were."""
        await _nothing_planned(self.spine)
        before = await self.spine.rows()
        count = 0
        for what, spoiled in _spoiled(resource, learned, parts):
            answer = await self.tell(event_type, spoiled)
            assert answer in (204, 401), what
            assert answer == 401 or await self.spine.rows() == before, f"{what} was believed"
            count += 1
        assert await self.spine.rows() == before
        return count


@pytest.fixture
async def citizen(spine: Spine) -> Citizen:
    return await spine.citizen()


@pytest.fixture
async def forger(spine: Spine, dev_files: DevFiles, settings: Settings) -> Any:
    await spine._serve()
    async with httpx.AsyncClient(base_url=settings.public_url, timeout=20, trust_env=False) as http:
        yield Forger(spine, Senders(dev_files.sandbox, settings.public_url.removeprefix("http://")), http)


_SEEN_ONLY = (
    "notify_url",
    "notices",
    "probe",
    "combine_out_trade_no",
    "created_at",
    "paid_at",
    "closed_at",
    "expires_at",
    "time_expire",
)
"""What the sandbox shows of an order beyond what a notice says."""


async def test_a_payment(spine: Spine, citizen: Citizen, forger: Forger) -> None:
    payment = await spine.payment(citizen, await spine.account(FEN))
    number = await spine.pay(citizen, payment)
    (order,) = (await spine.control("GET", "/wechat-pay/orders"))["orders"]
    true = {name: value for name, value in order.items() if name not in _SEEN_ONLY}
    assert true["out_trade_no"] == number
    assert await forger.walk("TRANSACTION.SUCCESS", true) > 80
    for event_type in ("REFUND.SUCCESS", "REFUND.CLOSED", "OTHER.SUCCESS"):
        before = await spine.rows()
        assert await forger.tell(event_type, true) in (204, 401)
        assert await spine.rows() == before
    assert await forger.tell("TRANSACTION.SUCCESS", true) == 204
    await payment.refresh_from_db()
    assert payment.status == "succeeded"


async def test_a_payment_of_several_companies(spine: Spine, citizen: Citizen, forger: Forger) -> None:
    accounts = [(company, await spine.account(FEN + n, company=company)) for n, company in enumerate((WATER, "gas"))]
    payment = await spine.combined(citizen, *accounts)
    await spine.pay(citizen, payment)
    (order,) = (await spine.control("GET", "/wechat-pay/combined"))["orders"]
    true = {name: value for name, value in order.items() if name not in ("notify_url", "notices", "probe")}
    assert await forger.walk("TRANSACTION.SUCCESS", true, parts=(1,)) > 100
    assert await forger.tell("TRANSACTION.SUCCESS", true) == 204
    await payment.refresh_from_db()
    assert payment.status == "succeeded"


async def test_a_refund(spine: Spine, citizen: Citizen, forger: Forger) -> None:
    number = await spine.account(FEN)
    await spine.control("POST", f"/companies/{WATER}/refuse", {"account_number": number, "code": "EP0002"})
    payment = await spine.payment(citizen, number)
    await spine.notify(await spine.pay(citizen, payment))
    await spine.jobs.run()
    await spine.end_refunds()
    (order,) = (await spine.control("GET", "/wechat-pay/orders"))["orders"]
    (refund,) = await spine.refunds()
    true = {
        "sp_mchid": order["sp_mchid"], "sub_mchid": order["sub_mchid"], "transaction_id": order["transaction_id"],
        "out_trade_no": order["out_trade_no"], "refund_id": refund["refund_id"], "out_refund_no": refund["out_refund_no"],
        "refund_status": "SUCCESS", "success_time": refund["success_time"], "user_received_account": "支付用户零钱",
        "amount": {"total": FEN, "refund": FEN, "payer_total": FEN, "payer_refund": FEN},
    }  # fmt: skip
    optional = {"sp_mchid": _MISSING, "sub_mchid": _MISSING, "transaction_id": _MISSING}
    told = {name: value for name, value in true.items() if name not in optional}
    walked = await forger.walk("REFUND.SUCCESS", told, learned=False)
    for name in optional:
        for wrong in ("1900000102", true[name][:-1] + "x", [], 7, ""):
            before = await spine.rows()
            assert await forger.tell("REFUND.SUCCESS", true | {name: wrong}) in (204, 401)
            assert await spine.rows() == before, f"{name} = {wrong!r} was believed"
    assert walked > 60
    for event_type in ("TRANSACTION.SUCCESS", "OTHER.SUCCESS"):
        before = await spine.rows()
        assert await forger.tell(event_type, true) in (204, 401)
        assert await spine.rows() == before
    assert await forger.tell("REFUND.SUCCESS", true) == 204
    assert (await Refund.all().get()).status == "succeeded"


ALIPAY: dict[str, tuple[str | None, ...]] = {
    "app_id": (None, "", "2021000000000000", "{} ", " {}", "{}0"),
    "seller_id": (None, "", "2088000000000102", "{} ", " {}", "{}0"),
    "out_trade_no": (None, "", "0" * 32, "{} ", "{upper}", "{}0"),
    "trade_no": (None, "", "{} ", "{}\n", "交易"),
    "total_amount": (
        None, "", "41.98", "42.00", "4199", "41.9", "41.990", "041.99", "+41.99", "-41.99", " 41.99", "41.99 ", "41,99", "4.199e1", "0x1.4p5", "NaN",
        "Infinity", "\uff14\uff11.\uff19\uff19", "41.99\n", "41.99;41.99", "0.00", "1e400",
    ),
    "trade_status": (None, "", "trade_success", "TRADE_SUCCESS ", "TRADE_PAID", "WAIT_BUYER_PAY", "TRADE_CLOSED"),
    "trans_currency": ("USD", "cny", "CNY ", "156"),
    "refund_fee": ("41.99", "0.01"),
    "gmt_refund": ("2026-11-23 10:00:00",),
    "notify_type": (None, "", "trade_status_sync ", "dut_user_sign"),
    "notify_time": (None, "", "2026-11-01 10:00:00", "2027-11-23 10:00:00", "2026-13-40 10:00:00", "now"),
    "charset": ("GBK", "utf-16", "gb2312"),
    "sign_type": ("RSA", "MD5", "HMAC"),
    "sign": ("x", "AAAA"),
}  # fmt: skip
"""Fields of Alipay's form and what may stand in their place; ``None``: nothing, ``{}``: the true value."""


async def test_a_payment_at_alipay(spine: Spine, citizen: Citizen) -> None:
    await spine._serve()
    payment = await spine.payment(citizen, await spine.account(FEN), Way("alipay", "wap"))
    await spine.control("POST", f"/people/{citizen.phone_id}/pay", await spine.order(citizen, payment))
    (trade,) = (await spine.control("GET", "/alipay/trades"))["trades"]
    path = f"/alipay/trades/{trade['out_trade_no']}/notify"
    alipay = spine.services.settings.alipay
    assert alipay is not None
    true = {**trade, "app_id": alipay.app_id, "seller_id": spine.services.companies.get(WATER).merchants["alipay"]}
    await _nothing_planned(spine)
    before = await spine.rows()
    for name, wrongs in ALIPAY.items():
        for wrong in wrongs:
            value = wrong and wrong.replace("{upper}", str(true.get(name, "")).upper() + "X").replace(
                "{}", str(true.get(name, ""))
            )
            (answered,) = (await spine.control("POST", path, {"mutate": {name: value}}))["answers"]
            assert answered["status"] in (200, 401), f"{name} = {value!r}"
            await spine.jobs.run()
            assert await spine.rows() == before, f"{name} = {value!r} was believed"
    assert (await spine.control("POST", path, {}))["answers"][0]["answer"] == "success"
    await spine.jobs.run()
    assert (await Payment.get(id=payment.id)).status == "succeeded"


async def test_what_alipay_signs_under_another_of_its_keys_is_nothing(spine: Spine, citizen: Citizen) -> None:
    """An unknown key is none, whatever else is right; a notice answered before is not worked on again under the same id."""
    await spine._serve()
    payment = await spine.payment(citizen, await spine.account(FEN), Way("alipay", "wap"))
    await spine.control("POST", f"/people/{citizen.phone_id}/pay", await spine.order(citizen, payment))
    (trade,) = (await spine.control("GET", "/alipay/trades"))["trades"]
    path = f"/alipay/trades/{trade['out_trade_no']}/notify"
    before = await spine.rows()
    for sign_with in ("stranger", "unsigned"):
        (answered,) = (await spine.control("POST", path, {"sign_with": sign_with}))["answers"]
        assert answered["status"] == 401
    same = uuid4().hex
    for _ in range(3):
        await spine.control("POST", path, {"mutate": {"notify_id": same, "total_amount": "0.01"}})
    await spine.jobs.run()
    assert await spine.rows() == before
    assert len(await fetch("select 1 from inbox where source = 'alipay'")) == 1
