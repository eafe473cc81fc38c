"""The same key and body give the same answer, another body is refused, a crash leaves nothing."""

import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta

import pytest

from core import clock
from core.crypto import CannotDecrypt, Vault
from core.database import fetch, transaction
from models.idempotency import KEPT, KeyInFlight, KeyReused, Once

VAULT = Vault([("k", os.urandom(32))], os.urandom(32))
PERSONAL = "张三".encode()


class RollBack(Exception):
    """Ends a transaction."""


@pytest.fixture(autouse=True)
def _home() -> Iterator[None]:
    yield
    clock.follow(None)


def _once(subject: str = "p1", operation: str = "pay", key: str = "key-1", fingerprint: bytes = b"body") -> Once:
    return Once(VAULT, subject, operation, key, fingerprint)


async def _kept(once: Once) -> tuple[int, bytes] | None:
    async with transaction():
        return await once.begin()


async def _work(once: Once, body: bytes = PERSONAL) -> tuple[int, bytes]:
    async with transaction():
        if kept := await once.begin():
            return kept
        await once.keep(201, body)
        return 201, body


async def test_the_first_works_and_the_next_gets_its_answer(database: None) -> None:
    first = _once()
    assert await _kept(first) is None
    assert await _work(first) == (201, PERSONAL)
    assert not first.answered
    second = _once()
    assert await _work(second, b"never") == (201, PERSONAL)
    assert second.answered
    assert await _kept(_once()) == (201, PERSONAL)


async def test_another_body_under_the_same_key_is_refused(database: None) -> None:
    await _work(_once())
    with pytest.raises(KeyReused):
        await _work(_once(fingerprint=b"other"))
    with pytest.raises(KeyReused):
        await _kept(_once(fingerprint=b"other"))


async def test_persons_operations_and_keys_are_kept_apart(database: None) -> None:
    await _work(_once())
    for other in (_once(subject="p2"), _once(operation="refund"), _once(key="key-2")):
        assert await _kept(other) is None
        assert await _work(other, b"mine") == (201, b"mine")
    assert _once(subject="a", operation="bc").row_id != _once(subject="ab", operation="c").row_id


async def test_two_at_once_one_works_and_the_other_is_told(database: None) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with transaction():
            once = _once()
            assert await once.begin() is None
            entered.set()
            await leave.wait()
            await once.keep(201, PERSONAL)

    task = asyncio.ensure_future(slow())
    await entered.wait()
    with pytest.raises(KeyInFlight):
        await _work(_once())
    assert await _work(_once(key="key-2"), b"x") == (201, b"x"), "another key waits for nobody"
    leave.set()
    await task
    assert await _work(_once()) == (201, PERSONAL)


async def test_an_answer_that_began_to_be_looked_for_too_early_replaces_none(database: None) -> None:
    late = _once()
    async with transaction():
        assert await late.begin() is None
    await _work(_once())
    with pytest.raises(KeyInFlight):
        await _keep(late, b"second")
    assert await _kept(_once()) == (201, PERSONAL), "the first answer stands, and the retry finds it"


async def _keep(once: Once, body: bytes) -> None:
    async with transaction():
        await once.keep(201, body)


async def _fail() -> None:
    async with transaction():
        once = _once()
        await once.begin()
        await once.keep(201, b"lost")
        raise RollBack


async def test_work_that_fails_leaves_no_answer_and_no_lock(database: None) -> None:
    with pytest.raises(RollBack):
        await _fail()
    assert await fetch("select 1 from idempotent_answer") == []
    assert await _work(_once(), b"again") == (201, b"again")


async def test_an_answer_is_kept_for_its_time_and_then_replaced(database: None) -> None:
    await _work(_once())
    clock.travel(KEPT - timedelta(minutes=1))
    assert await _kept(_once()) == (201, PERSONAL)
    clock.travel(KEPT + timedelta(minutes=1))
    assert await _kept(_once()) is None
    assert await _work(_once(fingerprint=b"other"), b"new") == (201, b"new")
    assert await _kept(_once(fingerprint=b"other")) == (201, b"new")


async def test_the_answer_lies_encrypted_in_its_own_row(database: None) -> None:
    await _work(_once())
    (row,) = await fetch("select id, body from idempotent_answer")
    assert PERSONAL not in row["body"]
    with pytest.raises(CannotDecrypt):
        VAULT.open_bytes(row["body"], "idempotent_answer.body", _once(subject="p2").row_id)
