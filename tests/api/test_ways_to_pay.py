"""What a page is told about ways to pay: which there are, and what each needs to begin."""

from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from models.payment import Payment
from tests.harness.edge import Edge

FEN = 4199


async def _asked(edge: Edge, provider: str, method: str) -> tuple[dict[str, str], Payment]:
    """A new payment made this way through the API, and its pay-params."""
    person = await edge.person()
    quote = await edge.told(
        "POST", "/v1/quotes", {"token": await edge.spine.qr(await edge.spine.account(FEN))}, by=person
    )
    body = {"quote_ids": [quote["quote_id"]], "provider": provider, "method": method}
    created = await edge.told("POST", "/v1/payments", body, by=person, key=uuid4().hex)
    params = await edge.told("POST", f"/v1/payments/{created['payment_id']}/pay-params", by=person)
    return params, await Payment.get(id=created["payment_id"])


async def test_the_list_is_made_from_what_is_connected(edge: Edge) -> None:
    methods = (await edge.told("GET", "/v1/payment-methods"))["methods"]
    assert [(one["provider"], one["method"], one["client"]) for one in methods] == [
        ("wechat_pay", "jsapi", "mini_program"),
        ("wechat_pay", "h5", "phone_browser"),
        ("wechat_pay", "native", "screen"),
        ("alipay", "wap", "phone_browser"),
    ]
    assert all("water" in one["companies"] for one in methods)
    assert {one["provider"]: one["most_companies"] for one in methods} == {"wechat_pay": 50, "alipay": 1}


async def test_in_wechat_the_parameters_are_signed(edge: Edge) -> None:
    params, _ = await _asked(edge, "wechat_pay", "jsapi")
    assert (params["cashier"], params["signType"]) == ("wechat", "RSA")


async def test_a_browser_gets_wechat_s_page_which_comes_back_to_us(edge: Edge) -> None:
    params, payment = await _asked(edge, "wechat_pay", "h5")
    assert params["cashier"] == "address"
    back = parse_qs(urlsplit(params["url"]).query)["redirect_url"][0]
    assert back.startswith(edge.spine.services.settings.public_url)
    assert params.get("code_svg") is None
    order = await edge.spine.order_at_provider(payment)
    assert order is not None
    assert order["trade_state"] == "NOTPAY"


async def test_a_screen_gets_the_code_as_text_and_as_an_image(edge: Edge) -> None:
    params, _ = await _asked(edge, "wechat_pay", "native")
    assert params["url"].startswith("weixin://wxpay/bizpayurl?pr=")
    assert params["code_svg"].startswith("<svg")
    assert "script" not in params["code_svg"]


async def test_a_browser_gets_alipay_s_page_signed_for_the_company_s_own_number(edge: Edge) -> None:
    params, payment = await _asked(edge, "alipay", "wap")
    fields = parse_qs(urlsplit(params["url"]).query)
    assert fields["method"] == ["alipay.trade.wap.pay"]
    assert '"total_amount":"41.99"' in fields["biz_content"][0]
    assert '"seller_id":"2088000000000101"' in fields["biz_content"][0]
    assert fields["notify_url"] == [f"{edge.spine.services.settings.public_url}/callbacks/alipay"]
    token = fields["app_auth_token"][0]
    assert token not in (payment.handle or ""), "what is kept holds no token"


@pytest.mark.parametrize(("provider", "method"), [("alipay", "jsapi"), ("wechat_pay", "wap")])
async def test_a_way_that_a_provider_has_not_is_refused_with_a_next_step(
    edge: Edge, provider: str, method: str
) -> None:
    person = await edge.person()
    quote = await edge.told(
        "POST", "/v1/quotes", {"token": await edge.spine.qr(await edge.spine.account(FEN))}, by=person
    )
    body = {"quote_ids": [quote["quote_id"]], "provider": provider, "method": method}
    answer = await edge.call("POST", "/v1/payments", body, by=person, key=uuid4().hex)
    assert (answer.status_code, answer.json()["code"]) == (422, "payment_method_not_offered")


async def test_several_companies_in_one_payment_are_no_order_of_alipay(edge: Edge) -> None:
    person = await edge.person()
    quotes = [
        await edge.told("POST", "/v1/quotes", {"token": await edge.spine.qr(await edge.spine.account(FEN))}, by=person)
        for _ in range(2)
    ]
    body = {"quote_ids": [quote["quote_id"] for quote in quotes], "provider": "alipay", "method": "wap"}
    answer = await edge.call("POST", "/v1/payments", body, by=person, key=uuid4().hex)
    assert (answer.status_code, answer.json()["code"]) == (422, "payment_method_not_offered")
