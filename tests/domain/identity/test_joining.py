"""Two identities of one human become one person's, and two people's again, row by row; two humans' never do."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from core import clock
from core.database import fetch
from core.errors import NotFound
from domain.identity.joining import (
    IdentitiesDiffer,
    IdentityAlreadyYours,
    IdentityOfThisKindTaken,
    UndoTooLate,
)
from domain.identity.login import IdentityProofRefused
from domain.identity.sessions import ended_lately
from domain.identity.sso import HandoverRefused
from domain.identity.tokens import Caller, TokenRefused
from lianban.check import examine
from models.joining import OWNED, STAYS, present
from models.person import Person, User
from models.session import Session
from models.share import Share
from tests.harness.spine import Citizen, Spine

OWNERSHIP = ("binding", "payment", "quote", "login_user", "person")


async def proved(spine: Spine, caller: Caller, known: dict[str, Any], client_id: str, source: str = "ehuiban") -> str:
    """The session of `caller` proves that he is also `known` at `source`; the handover code of its page."""
    sso, page = spine.services.sso, spine.services.settings.return_urls[0]
    link = await sso.start_joining(caller.session_id, source, page, client_id)
    started = await sso.open_link(link.rpartition("/")[2], None)
    address = await sso.come_back(source, await spine.at_the_source(known, started.login_url), started.browser)
    word, _, handover = address.partition("#")[2].partition("=")
    assert word == "handover", address
    return handover


async def join(spine: Spine, citizen: Citizen, known: dict[str, Any], source: str = "ehuiban") -> tuple[Caller, UUID]:
    """Join, and who calls from then on."""
    handover = await proved(spine, citizen.caller, known, citizen.client_id, source)
    opened, join_id = await spine.services.joining.join(citizen.caller, handover, citizen.client_id, "")
    return spine.services.access_tokens.check(opened.access_token), join_id


async def test_what_a_wechat_user_owned_is_the_real_named_person_s_and_goes_back_exactly(spine: Spine) -> None:
    resident, known = await spine.resident()
    citizen = await spine.citizen()
    number = await spine.account(4199)
    await spine.bind(citizen, number)
    payment = await spine.paid(citizen, number)
    before = await spine.rows(OWNERSHIP)
    caller, join_id = await join(spine, citizen, known)
    assert (caller.person_id, caller.level) == (resident.id, 3)
    await payment.refresh_from_db()
    assert payment.person_id == resident.id
    assert await present(citizen.id) == resident.id
    again = await spine.services.login.by_wechat(await spine.login_code(citizen.phone_id), citizen.client_id, "")
    assert (again.person_id, again.level) == (resident.id, 3)
    await spine.jobs.run()
    assert (await spine.told(resident))[-1:] == ["identity.joined"]
    assert "payment.posted" in await spine.told(resident)
    await spine.services.joining.undo(caller, join_id)
    assert await spine.rows(OWNERSHIP) == before
    await spine.jobs.run()
    assert (await spine.told(citizen))[-1] == (await spine.told(resident))[-1] == "identity.parted"
    again = await spine.services.login.by_wechat(await spine.login_code(citizen.phone_id), citizen.client_id, "")
    assert again.person_id == citizen.id


async def test_the_sessions_of_the_absorbed_end_and_after_parting_those_of_his_identities(spine: Spine) -> None:
    _, known = await spine.resident()
    citizen = await spine.citizen()
    caller, join_id = await join(spine, citizen, known)
    assert (await Session.get(id=citizen.caller.session_id)).end_reason == "identity_joined"
    assert await spine.services.sessions.list(citizen.id) == []
    assert (await Session.get(id=caller.session_id)).ended_at is None
    await spine.services.joining.undo(caller, join_id)
    assert (await Session.get(id=caller.session_id)).end_reason == "identity_parted"
    await spine.services.joining.undo(caller, join_id)


async def test_what_the_last_requests_of_the_absorbed_made_goes_over_and_back_too(spine: Spine) -> None:
    resident, known = await spine.resident()
    citizen = await spine.citizen()
    caller, join_id = await join(spine, citizen, known)
    number = await spine.account(4199)
    binding = await spine.bind(citizen, number)
    await spine.jobs.pass_time(timedelta(minutes=1))
    await binding.refresh_from_db()
    assert binding.person_id == resident.id
    await spine.services.joining.undo(caller, join_id)
    await binding.refresh_from_db()
    assert binding.person_id == citizen.id


async def test_the_phone_goes_over_where_there_was_none_and_back(spine: Spine) -> None:
    _, known = await spine.resident(phone=None, is_real_name=False)
    citizen = await spine.citizen()
    caller = citizen.caller
    token, _, _ = await spine.services.login.prove_phone(caller, await spine.phone_code(citizen.phone_id))
    assert spine.services.access_tokens.check(token).level == 2
    before = await spine.rows(("person",))
    joined, join_id = await join(spine, citizen, known)
    assert (joined.person_id, joined.level) == (citizen.id, 2)
    await spine.services.joining.undo(joined, join_id)
    assert await spine.rows(("person",)) == before


async def test_two_id_numbers_are_two_people(spine: Spine) -> None:
    resident, _ = await spine.resident("ehuiban")
    other = await spine.known()
    handover = await proved(spine, resident.caller, other, resident.client_id, "hubei_portal")
    before = await spine.rows()
    with pytest.raises(IdentitiesDiffer):
        await spine.services.joining.join(resident.caller, handover, resident.client_id, "")
    assert await spine.rows() == before


async def test_a_number_vouched_for_counts_though_another_person_has_it(spine: Spine) -> None:
    """The portal's identity names the number of a third person; with somebody of another number it is never joined."""
    _, known = await spine.resident("ehuiban")
    await spine.log_in_at("hubei_portal", known, uuid4().hex)
    other, _ = await spine.resident("ehuiban")
    handover = await proved(spine, other.caller, known, other.client_id, "hubei_portal")
    with pytest.raises(IdentitiesDiffer):
        await spine.services.joining.join(other.caller, handover, other.client_id, "")


async def test_one_number_at_two_sources_is_joined_to_level_three(spine: Spine) -> None:
    resident, known = await spine.resident("ehuiban")
    opened = await spine.log_in_at("hubei_portal", known, uuid4().hex)
    assert opened.level == 2
    caller, _ = await join(spine, resident, known, "hubei_portal")
    assert (caller.person_id, caller.level) == (resident.id, 3)
    assert (await spine.log_in_at("hubei_portal", known, uuid4().hex)).level == 3


async def test_his_own_identity_and_a_second_of_one_source_are_refused(spine: Spine) -> None:
    resident, known = await spine.resident()
    handover = await proved(spine, resident.caller, known, resident.client_id)
    with pytest.raises(IdentityAlreadyYours):
        await spine.services.joining.join(resident.caller, handover, resident.client_id, "")
    other = await spine.known(is_real_name=False)
    handover = await proved(spine, resident.caller, other, resident.client_id)
    with pytest.raises(IdentityOfThisKindTaken):
        await spine.services.joining.join(resident.caller, handover, resident.client_id, "")
    assert await User.all().count() == 1


async def test_a_session_whose_proof_is_older_than_five_minutes_proves_itself_again(spine: Spine) -> None:
    _, known = await spine.resident()
    citizen = await spine.citizen()
    await spine.travel(timedelta(minutes=5, seconds=1))
    handover = await proved(spine, citizen.caller, known, citizen.client_id)
    with pytest.raises(IdentityProofRefused):
        await spine.services.joining.join(citizen.caller, handover, citizen.client_id, "")
    token, _, _ = await spine.services.login.prove_again(citizen.caller, await spine.login_code(citizen.phone_id))
    caller = spine.services.access_tokens.check(token)
    opened, _ = await spine.services.joining.join(caller, handover, citizen.client_id, "")
    assert opened.level == 3


async def test_what_one_session_proved_is_worth_nothing_to_another(spine: Spine) -> None:
    _, known = await spine.resident()
    victim, thief = await spine.citizen(), await spine.citizen()
    handover = await proved(spine, victim.caller, known, victim.client_id)
    for caller, client_id in ((thief.caller, victim.client_id), (victim.caller, thief.client_id)):
        with pytest.raises(IdentityProofRefused):
            await spine.services.joining.join(caller, handover, client_id, "")
    login = await _login_handover(spine, known, victim.client_id)
    with pytest.raises(IdentityProofRefused):
        await spine.services.joining.join(victim.caller, login, victim.client_id, "")
    with pytest.raises(HandoverRefused):
        await spine.services.sso.finish(handover, victim.client_id, "", "A" * 43)


async def _login_handover(spine: Spine, known: dict[str, Any], client_id: str) -> str:
    sso, page = spine.services.sso, spine.services.settings.return_urls[0]
    started = await sso.start("ehuiban", page, client_id, "person", None)
    address = await sso.come_back("ehuiban", await spine.at_the_source(known, started.login_url), started.browser)
    return address.partition("#handover=")[2]


async def test_a_link_is_opened_once(spine: Spine) -> None:
    citizen = await spine.citizen()
    page = spine.services.settings.return_urls[0]
    link = await spine.services.sso.start_joining(citizen.caller.session_id, "ehuiban", page, citizen.client_id)
    token = link.rpartition("/")[2]
    opened = await asyncio.gather(
        *(spine.services.sso.open_link(token, None) for _ in range(5)), return_exceptions=True
    )
    assert len([answer for answer in opened if not isinstance(answer, Exception)]) == 1


async def test_two_joins_at_once_end_in_one_person(spine: Spine) -> None:
    resident, known = await spine.resident()
    first, second = await spine.citizen(), await spine.citizen()
    codes = [await proved(spine, citizen.caller, known, citizen.client_id) for citizen in (first, second)]
    answers = await asyncio.gather(
        *(
            spine.services.joining.join(citizen.caller, code, citizen.client_id, "")
            for citizen, code in zip((first, second), codes, strict=True)
        ),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers].count(IdentityOfThisKindTaken) == 1
    assert await User.filter(person_id=resident.id).count() == 2


async def test_one_handover_joins_once(spine: Spine) -> None:
    _, known = await spine.resident()
    citizen = await spine.citizen()
    handover = await proved(spine, citizen.caller, known, citizen.client_id)
    answers = await asyncio.gather(
        *(spine.services.joining.join(citizen.caller, handover, citizen.client_id, "") for _ in range(4)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers].count(IdentityProofRefused) == 3
    assert len(await fetch("select 1 from person_join")) == 1


async def test_after_a_day_and_by_a_stranger_nothing_is_taken_back(spine: Spine) -> None:
    _, known = await spine.resident()
    citizen, stranger = await spine.citizen(), await spine.citizen()
    caller, join_id = await join(spine, citizen, known)
    with pytest.raises(NotFound):
        await spine.services.joining.undo(stranger.caller, join_id)
    await spine.travel(timedelta(hours=24, seconds=1))
    with pytest.raises(UndoTooLate):
        await spine.services.joining.undo(caller, join_id)


async def test_the_token_of_the_session_that_joined_is_refused(spine: Spine) -> None:
    _, known = await spine.resident()
    citizen = await spine.citizen()
    await join(spine, citizen, known)
    spine.services.access_tokens.ended(await ended_lately())
    with pytest.raises(TokenRefused):
        spine.services.access_tokens.check(citizen.opened.access_token)


async def test_what_was_paid_on_a_binding_that_stayed_behind_breaks_no_rule(spine: Spine, database_url: str) -> None:
    """Paid before the survivor had one of his own: the payment is his now, the binding it was paid on is not."""
    resident, known = await spine.resident()
    citizen = await spine.citizen()
    number = await spine.account(4199)
    await spine.bind(citizen, number)
    await spine.paid(citizen, number)
    await spine.travel(timedelta(minutes=1))
    await spine.bind(resident, number)
    await join(spine, citizen, known)
    await spine.jobs.run()
    found = {one.check.name: one.violations for one in await examine(database_url)}
    assert found["paid_by_a_binder"] == []


async def test_every_key_to_a_person_moves_or_says_why_not(spine: Spine) -> None:
    rows = await fetch(
        "select conrelid::regclass::text as t, attname::text as c from pg_constraint"
        " join pg_attribute on attrelid = conrelid and attnum = conkey[1]"
        " where contype = 'f' and confrelid = 'person'::regclass"
    )
    assert {f"{row['t']}.{row['c']}" for row in rows} == {f"{owned.table}.{owned.column}" for owned in OWNED} | set(
        STAYS
    )
    assert await Person.all().count() == 0


async def test_shares_and_mandates_go_over_and_come_back_and_none_is_left_where_nobody_could_end_it(
    spine: Spine,
) -> None:
    resident, known = await spine.resident()
    citizen, member, both = await spine.citizen(), await spine.citizen(), await spine.citizen()
    number, sharing = await spine.account(4199), spine.services.sharing
    mine, his = await spine.bind(citizen, number), await spine.bind(resident, number)
    others = await spine.bind(member, await spine.account(100))
    shares: list[UUID] = []
    for owner, binding, taker in (
        (citizen, mine, member), (citizen, mine, both), (resident, his, both), (member, others, citizen)
    ):  # fmt: skip
        invitation = await sharing.offer(owner.caller, binding.account_id, "家人", True)
        shares.append((await sharing.accept(taker.caller, invitation.code)).id)
    mandate = await spine.services.first_agents.make(citizen.caller, await spine.organization(), clock.now())
    caller, join_id = await join(spine, citizen, known)
    given = await sharing.given(mine.account_id, caller.principal)
    assert [one.share.id for one in given] == [shares[0], shares[2]]
    assert [one.status for one in await Share.filter(binding_id=mine.id)] == ["ended"]
    assert {one.view.account.id for one in await spine.services.accounts.mine(caller.principal)} == {
        mine.account_id,
        others.account_id,
    }
    assert [one.mandate_id for one in await spine.services.mandates.represented(resident.id)] == [mandate.id]
    (shown,) = await spine.services.accounts.binders(mine.account_id, caller.principal)
    assert shown.id == his.id, "one human's two bindings show once"
    await spine.services.joining.undo(caller, join_id)
    assert len(await spine.services.accounts.binders(mine.account_id, citizen.principal)) == 2
    assert [one.share.id for one in await sharing.given(mine.account_id, citizen.principal)] == [shares[0]]
    assert [one.share.id for one in await sharing.given(his.account_id, resident.principal)] == [shares[2]]
    assert (await Share.get(id=shares[3])).member_id == citizen.id
    assert await spine.services.mandates.represented(resident.id) == []
    assert len(await spine.services.mandates.represented(citizen.id)) == 1
    await spine.jobs.run()
