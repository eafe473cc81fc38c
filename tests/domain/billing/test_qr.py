"""Printed codes: they find an account, prove nothing, and cannot be made by anybody else."""

import string
from dataclasses import fields, replace

import pytest

from core.errors import NotFound
from domain.billing.qr import QrCodeRefused
from domain.billing.quotes import Owed
from domain.companies import JoinedCompany
from models.utility_account import QrCode
from tests.harness.spine import WATER, Spine

FEN = 4199


def _water(spine: Spine) -> JoinedCompany:
    return spine.services.companies.get(WATER)


async def test_a_scan_shows_what_is_owed_the_masked_holder_and_nothing_more(spine: Spine) -> None:
    token = await spine.qr(await spine.account(FEN, holder="张三"))
    for text in (token, f"{spine.services.settings.public_url}/q/{token}"):
        owed = await spine.services.quotes.scan(text)
        assert (owed.total_fen, owed.bill_count, owed.holder_masked, owed.account.company) == (FEN, 1, "张*", WATER)
    assert {field.name for field in fields(Owed)} == {
        "account",
        "holder_masked",
        "total_fen",
        "bill_count",
        "checked_at",
    }


async def test_a_code_changed_in_any_character_leads_nowhere(spine: Spine) -> None:
    token = await spine.qr(await spine.account(FEN))
    alphabet = string.ascii_letters + string.digits + "-_"
    for place, right in enumerate(token):
        for wrong in {
            alphabet[(alphabet.index(right) + 1) % 64],
            right.swapcase(),
            "\N{FULLWIDTH DIGIT ONE}",
            " ",
            "\0",
        } - {right}:
            with pytest.raises(QrCodeRefused):
                await spine.services.qr_codes.account_of(token[:place] + wrong + token[place + 1 :])
    for wrong in ("", "A", token[:-1], token + "A", token + "\n", token * 2, f"https://elsewhere.example/q/{token}"):
        with pytest.raises(QrCodeRefused):
            await spine.services.qr_codes.account_of(wrong)


async def test_a_code_with_a_right_signature_and_no_row_leads_nowhere(spine: Spine) -> None:
    token = spine.services.qr_codes._token(spine.services.qr_codes._issuing, "x" * 16)
    with pytest.raises(QrCodeRefused):
        await spine.services.qr_codes.account_of(token)


async def test_a_revoked_code_leads_nowhere_and_others_of_the_account_live_on(spine: Spine) -> None:
    number = await spine.account(FEN)
    first, second = await spine.qr(number), await spine.qr(number)
    assert first != second
    for _ in range(2):
        await spine.services.qr_codes.revoke(first, _water(spine))
    with pytest.raises(QrCodeRefused):
        await spine.services.qr_codes.account_of(first)
    assert await spine.services.qr_codes.account_of(second)


async def test_a_company_revokes_no_other_companys_code(spine: Spine) -> None:
    token = await spine.qr(await spine.account(FEN))
    gas = replace(_water(spine), rules=spine.services.city.company("gas"))
    with pytest.raises(NotFound):
        await spine.services.qr_codes.revoke(token, gas)
    with pytest.raises(NotFound):
        await spine.services.qr_codes.revoke("A" * 32, _water(spine))
    assert await spine.services.qr_codes.account_of(token)


async def test_no_code_for_an_account_the_company_does_not_know(spine: Spine) -> None:
    for number in ("0299999999", "not-a-number"):
        with pytest.raises(NotFound):
            await spine.services.qr_codes.issue(_water(spine), number, "")
    assert await QrCode.all().count() == 0


async def test_the_database_cannot_tell_the_token(spine: Spine) -> None:
    token = await spine.qr(await spine.account(FEN))
    code = await QrCode.all().get()
    assert code.id in token
    assert len(code.id) < len(token) - 14 + 1, "what signs it is not kept"
