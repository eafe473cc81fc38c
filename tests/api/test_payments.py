"""What a payer is told when nobody can say yet whether his payment was paid."""

import pytest

from models.payment import Payment
from tests.harness.edge import Edge

FEN = 4199


@pytest.mark.parametrize("asks", ["check", "close"])
async def test_a_word_about_money_that_is_not_ours_is_unclear_to_the_payer_and_no_fault_of_ours(
    edge: Edge, asks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await edge.person()
    payment = await edge.spine.payment(person.citizen, await edge.spine.account(FEN))
    await edge.spine.pay(person.citizen, payment)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(edge.spine.services.wechat_pay, "app", "wx0000000000000000")
        answer = await edge.call("POST", f"/v1/payments/{payment.id}/{asks}", by=person)
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_unclear")
    assert "没有扣款" not in answer.text
    assert (await Payment.get(id=payment.id)).status != "succeeded"
    told = await edge.told("POST", f"/v1/payments/{payment.id}/check", by=person)
    assert told["progress"] == "posting"


@pytest.mark.parametrize("asks", ["check", "close"])
async def test_a_provider_that_is_away_leaves_it_unclear_and_never_says_that_nothing_was_paid(
    edge: Edge, asks: str
) -> None:
    person = await edge.person()
    payment = await edge.spine.payment(person.citizen, await edge.spine.account(FEN))
    await edge.spine.pay(person.citizen, payment)
    for operation in ("query", "close"):
        await edge.spine.fault("wechat_pay", operation, "error", status=500, times=None)
    answer = await edge.call("POST", f"/v1/payments/{payment.id}/{asks}", by=person)
    await edge.spine.all_well()
    assert (answer.status_code, answer.json()["code"]) == (503, "payment_unclear")
    assert "没有扣款" not in answer.text
