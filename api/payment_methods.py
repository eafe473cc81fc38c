"""Which ways to pay there are here, where each of them works, and which companies can be paid so. Public."""

from typing import Literal, cast

from api.calls import Answer, Call
from api.texts import Output
from payments.providers.port import Method

_CLIENTS = {
    Method.JSAPI: "mini_program",
    Method.H5: "phone_browser",
    Method.WAP: "phone_browser",
    Method.NATIVE: "screen",
}
_NAMES = {"wechat_pay": "微信支付", "alipay": "支付宝"}


Provider = Literal["wechat_pay", "alipay"]
MethodName = Literal["jsapi", "h5", "native", "wap"]


class PaymentMethod(Output, frozen=True):
    """One way to pay. `client`: mini_program, phone_browser (outside WeChat), screen (a code that the payer's phone scans).

    `most_companies`: how many companies one payment may be for; `companies`: those that can be paid so.
    """

    provider: Provider
    method: MethodName
    provider_name: str
    client: str
    most_companies: int
    companies: list[str]


class PaymentMethodList(Output, frozen=True):
    """All ways to pay that are connected here."""

    methods: list[PaymentMethod]


async def list_methods(call: Call) -> Answer:
    """Made from what is configured: a provider without keys, or a company without a number there, does not appear."""
    companies = list(call.services.companies)
    return Answer(
        PaymentMethodList(
            [
                PaymentMethod(
                    cast(Provider, one.name),
                    cast(MethodName, str(method)),
                    _NAMES[one.name],
                    _CLIENTS[method],
                    most,
                    [company.code for company in companies if one.name in company.merchants],
                )
                for one in call.services.providers
                for method, most in one.provider.most_parts.items()
            ]
        )
    )
