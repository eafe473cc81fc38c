"""Logging in by WeChat and proving a phone number: who comes out of it, and what failures leave behind."""

import asyncio
from typing import Any

import pytest

from core.database import fetch
from domain.identity.login import IdentitySourceAway, LoginCodeRefused, PhoneCodeRefused
from models.person import Person, User
from models.session import Session
from tests.harness.spine import Spine


async def test_the_first_login_makes_a_person_and_the_next_finds_him(spine: Spine) -> None:
    citizen = await spine.citizen()
    assert citizen.opened.level == 1
    again = await spine.services.login.by_wechat(
        await spine.login_code(citizen.phone_id), "another-client-0001", "别的手机"
    )
    assert again.person_id == citizen.id
    assert again.session_id != citizen.opened.session_id
    assert (await Person.all().count(), await User.all().count(), await Session.all().count()) == (1, 1, 2)


async def test_first_logins_at_once_make_one_person(spine: Spine) -> None:
    person = await spine.control("POST", "/people", {"nickname": "新人"})
    codes = [await spine.login_code(person["person_id"]) for _ in range(8)]
    opened = await asyncio.gather(
        *(spine.services.login.by_wechat(code, f"client-{number:08}", "") for number, code in enumerate(codes))
    )
    assert len({answer.person_id for answer in opened}) == 1
    assert len({answer.session_id for answer in opened}) == 8
    assert (await Person.all().count(), await User.all().count()) == (1, 1)


async def test_a_login_code_serves_once(spine: Spine) -> None:
    citizen = await spine.citizen()
    code = await spine.login_code(citizen.phone_id)
    await spine.services.login.by_wechat(code, citizen.client_id, "")
    before = await spine.rows()
    with pytest.raises(LoginCodeRefused):
        await spine.services.login.by_wechat(code, citizen.client_id, "")
    with pytest.raises(LoginCodeRefused):
        await spine.services.login.by_wechat("never-given", citizen.client_id, "")
    assert await spine.rows() == before


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "error", "status": 500},
        {"fault": "drop"},
        {"fault": "drop", "after": True},
        {"fault": "error", "status": 502},
    ],
    ids=["500", "cut before", "cut after", "502"],
)
@pytest.mark.parametrize("operation", ["code2session", "phone_number"])
async def test_while_wechat_is_away_nobody_comes_in_and_nothing_changes(
    spine: Spine, operation: str, fault: dict[str, Any]
) -> None:
    citizen = await spine.citizen()
    before = await spine.rows()
    await spine.fault("wechat", operation, times=None, **fault)
    if operation == "code2session":
        tried = spine.services.login.by_wechat(await spine.login_code(citizen.phone_id), citizen.client_id, "")
    else:
        tried = spine.services.login.prove_phone(citizen.caller, await spine.phone_code(citizen.phone_id))
    with pytest.raises(IdentitySourceAway):
        await tried
    assert await spine.rows() == before


async def test_a_proved_phone_raises_to_level_two_once_and_for_the_next_login(spine: Spine) -> None:
    citizen = await spine.citizen()
    code = await spine.phone_code(citizen.phone_id)
    token, _, level = await spine.services.login.prove_phone(citizen.caller, code)
    assert level == 2
    caller = spine.services.access_tokens.check(token)
    assert (caller.level, caller.person_id, caller.session_id) == (2, citizen.id, citizen.caller.session_id)
    person = await Person.get(id=citizen.id)
    assert person.phone is not None
    assert spine.services.vault.open(person.phone, "person.phone", person.id).endswith(citizen.phone)
    assert citizen.phone.encode() not in bytes(person.phone)
    with pytest.raises(PhoneCodeRefused):
        await spine.services.login.prove_phone(citizen.caller, code)
    again = await spine.services.login.by_wechat(await spine.login_code(citizen.phone_id), citizen.client_id, "")
    assert again.level == 2


async def test_the_phone_of_another_raises_nobody(spine: Spine) -> None:
    citizen, other = await spine.citizen(), await spine.citizen()
    code = await spine.phone_code(other.phone_id)
    before = await spine.rows()
    for wrong in (code, "typed-by-hand"):
        with pytest.raises(PhoneCodeRefused):
            await spine.services.login.prove_phone(citizen.caller, wrong)
    assert await spine.rows() == before
    assert {person.level for person in await Person.all()} == {1}


async def test_who_came_by_another_source_is_not_named_to_wechat(spine: Spine) -> None:
    resident, other = (await spine.resident())[0], await spine.citizen()
    with pytest.raises(PhoneCodeRefused):
        await spine.services.login.prove_phone(resident.caller, await spine.phone_code(other.phone_id))
    assert await spine.calls("wechat", "phone_number") == {}


async def test_the_database_itself_refuses_a_level_without_its_proof(spine: Spine) -> None:
    citizen = await spine.citizen()
    with pytest.raises(Exception, match="person_level_proved"):
        await fetch("update person set level = 3 where id = $1", citizen.id)


async def test_openids_and_numbers_lie_nowhere_in_plain_text(spine: Spine) -> None:
    citizen = await spine.citizen()
    await spine.services.login.prove_phone(citizen.caller, await spine.phone_code(citizen.phone_id))
    number = await spine.account(4199, holder="赵无名")
    await spine.bind(citizen, number)
    await spine.credit(citizen, "payment_received")
    await spine.paid(citizen, number)
    tables = [
        row["relname"]
        for row in await fetch(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        )
    ]
    secrets = [citizen.openid, citizen.phone, number, "赵无名", citizen.opened.refresh_token, citizen.client_id]
    # Text of bytea columns is hexadecimal: look for the bytes too.
    needles = [*secrets, *(secret.encode().hex() for secret in secrets)]
    for table in tables:
        for needle in needles:
            found = await fetch(f"select 1 from {table} t where position($1 in t::text) > 0 limit 1", needle)
            assert not found, f"{needle} in {table}"
    keys = [key async for key in spine.services.redis.scan_iter()]
    assert keys
    values = b"".join(keys) + b"".join([await spine.services.redis.dump(key) or b"" for key in keys])
    assert not [secret for secret in secrets if secret.encode() in values]
