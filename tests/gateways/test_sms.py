"""The supplier of text messages: signed as its document says, one number a call, and its codes mean what the table says."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import clock
from core.outbound import Counterpart, FailureKind, MalformedAnswer, OutcomeUnknown
from gateways import tc3
from gateways.sms import SmsGateway
from gateways.sms_codes import SMS_CODES, SmsRefused, kind_of
from sandbox.server import Sandbox

NUMBER = "+8613900000001"
ACCOUNT: dict[str, Any] = {
    "secret_id": "AKIDtest", "secret_key": "k" * 32, "app_id": "1400006666", "sign_name": "鄂州联办",
    "templates": [{"id": "1001", "text": "验证码 {1}，{2} 分钟内有效。"}],
}  # fmt: skip


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    config = {"state_file": str(tmp_path / "state"), "clock_file": None, "sms": ACCOUNT}
    async with Sandbox(config, port=0) as running:
        yield running


Gateways = Callable[..., SmsGateway]


@pytest.fixture
async def gateway_of(sandbox: Sandbox) -> AsyncIterator[Gateways]:
    """A gateway to the sandbox, with something about it spoiled."""
    sides: list[Counterpart] = []

    def make(**spoiled: str) -> SmsGateway:
        known = {name: ACCOUNT[name] for name in ("secret_id", "secret_key", "app_id", "sign_name")} | spoiled
        sides.append(Counterpart("sms", f"http://127.0.0.1:{sandbox.ports[0]}/tencent-sms"))
        return SmsGateway(sides[-1], **known)

    yield make
    for side in sides:
        await side.aclose()


async def test_a_text_arrives_and_its_report_bears_our_number(gateway_of: Gateways) -> None:
    gateway, before = gateway_of(), clock.now()
    accepted = await gateway.send(NUMBER, "1001", ["482913", "5"], "0199-a")
    assert accepted.segments == 1
    (report,) = await gateway.reports(NUMBER, before)
    assert (report.serial, report.session, report.delivered) == (accepted.serial, "0199-a", True)
    assert await gateway.reports("+8613900000002", before) == []


@pytest.mark.parametrize(
    ("spoiled", "code"),
    [
        ({"secret_key": "x" * 32}, "AuthFailure.SignatureFailure"),
        ({"secret_id": "AKIDother"}, "AuthFailure.SignatureFailure"),
        ({"app_id": "1400000000"}, "UnauthorizedOperation.SmsSdkAppIdVerifyFail"),
        ({"sign_name": "别人"}, "FailedOperation.SignatureIncorrectOrUnapproved"),
    ],
    ids=["another key", "another id", "another app", "another signature"],
)
async def test_what_is_not_ours_is_refused(gateway_of: Gateways, spoiled: dict[str, str], code: str) -> None:
    with pytest.raises(SmsRefused) as refused:
        await gateway_of(**spoiled).send(NUMBER, "1001", ["482913", "5"], "s")
    assert (refused.value.supplier_code, refused.value.kind) == (code, FailureKind.TECHNICAL)


@pytest.mark.parametrize(
    ("template", "params", "code"),
    [
        ("1002", ["1"], "FailedOperation.TemplateUnapprovedOrNotExist"),
        ("1001", ["1"], "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"),
        ("1001", ["1" * 36, "5"], "InvalidParameterValue.TemplateParameterLengthLimit"),
        ("1001", ["http://a.cn", "5"], "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter"),
    ],
    ids=["no template", "a variable missing", "too long", "an address"],
)
async def test_a_message_refused_inside_a_call_that_succeeds_is_refused(
    gateway_of: Gateways, template: str, params: list[str], code: str
) -> None:
    with pytest.raises(SmsRefused) as refused:
        await gateway_of().send(NUMBER, template, params, "s")
    assert refused.value.supplier_code == code


@pytest.mark.parametrize(
    "number", ["13900000001", "+85290000000", "+861390000000１", "+8613900000001\n", "+8612900000001"]
)
async def test_only_mobile_numbers_of_the_mainland_are_sent_to(
    sandbox: Sandbox, gateway_of: Gateways, number: str
) -> None:
    with pytest.raises(SmsRefused) as refused:
        await gateway_of().send(number, "1001", ["482913", "5"], "s")
    assert refused.value.kind is FailureKind.PERMANENT
    assert sandbox.context.faults.calls("sms") == []


async def test_the_number_stands_in_no_address_and_in_no_error() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"Response": {"Error": {"Code": "InternalError.Timeout"}}})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    gateway = SmsGateway(Counterpart("sms", "https://sms.test", client=client), "i", "k", "1400006666", "鄂州联办")
    with pytest.raises(OutcomeUnknown) as unknown:
        await gateway.send(NUMBER, "1001", ["482913", "5"], "s")
    assert "139" not in str(seen[0].url)
    assert "139" not in repr(unknown.value)
    assert json.loads(seen[0].content)["PhoneNumberSet"] == [NUMBER]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (502, b"", OutcomeUnknown),
        (200, b"[]", MalformedAnswer),
        (200, b'{"Response":{"SendStatusSet":[]}}', MalformedAnswer),
        (200, b'{"Response":{"SendStatusSet":[{"Code":"Ok"}]}}', MalformedAnswer),
        (302, b"", MalformedAnswer),
    ],
    ids=["bad gateway", "no object", "no status", "no number", "elsewhere"],
)
async def test_an_answer_that_says_nothing_clear_is_unknown(status: int, body: bytes, error: type[Exception]) -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(status, content=body)))
    gateway = SmsGateway(Counterpart("sms", "https://sms.test", client=client), "i", "k", "1400006666", "鄂州联办")
    with pytest.raises(error):
        await gateway.send(NUMBER, "1001", ["482913", "5"], "s")


def test_the_signature_covers_body_day_and_action() -> None:
    def signed(**changed: Any) -> str:
        given = {
            "host": "sms.tencentcloudapi.com", "service": "sms", "action": "SendSms", "version": "2021-01-11", "region": "ap-guangzhou",
            "content": b"{}", "now": datetime(2026, 11, 23, 2, tzinfo=UTC),
        } | changed  # fmt: skip
        return tc3.headers("AKID", "secret", **given)["Authorization"]

    assert signed() == signed()
    others = [
        signed(content=b"[]"), signed(action="PullSmsSendStatus"), signed(host="other"), signed(now=datetime(2026, 11, 24, 2, tzinfo=UTC)),
    ]  # fmt: skip
    assert len({signed(), *others}) == 5
    assert "Credential=AKID/2026-11-23/sms/tc3_request, SignedHeaders=content-type;host;x-tc-action, " in signed()


def test_a_code_counts_whole_before_its_first_part_and_an_unknown_one_is_unknown() -> None:
    assert kind_of("InvalidParameterValue.IncorrectPhoneNumber") is FailureKind.PERMANENT
    assert kind_of("InvalidParameterValue.Whatever") is FailureKind.TECHNICAL
    assert kind_of("Strange.New") is FailureKind.UNKNOWN
    assert set(SMS_CODES.values()) == set(FailureKind)
