"""A delivery is stored once, sealed, with the one job that will process it."""

import asyncio
import os

import msgspec
import pytest

from core.crypto import CannotDecrypt, Vault
from core.database import fetch, transaction
from models.inbox import PROCESS_TASK, store

VAULT = Vault([("k", os.urandom(32))], os.urandom(32))
CONTENT = '{"payer":"张三"}'.encode()


class RollBack(Exception):
    """Ends a transaction."""


async def _jobs() -> list[str]:
    rows = await fetch("select args::text from procrastinate_jobs where task_name = $1", PROCESS_TASK)
    return [msgspec.json.decode(row["args"])["inbox_id"] for row in rows]


async def test_it_is_stored_sealed_with_its_job(database: None) -> None:
    item_id = await store(VAULT, "wechat_pay", "n1", "TRANSACTION.SUCCESS", CONTENT)
    (row,) = await fetch("select id, source, key, kind, content, processed_at, outcome from inbox")
    assert (row["id"], row["source"], row["key"], row["kind"]) == (item_id, "wechat_pay", "n1", "TRANSACTION.SUCCESS")
    assert (row["processed_at"], row["outcome"]) == (None, None)
    assert CONTENT not in row["content"]
    assert VAULT.open_bytes(row["content"], "inbox.content", row["id"]) == CONTENT
    with pytest.raises(CannotDecrypt):
        VAULT.open_bytes(row["content"], "inbox.content", "another row")
    assert await _jobs() == [str(item_id)]


async def test_the_same_delivery_again_is_neither_stored_nor_worked_twice(database: None) -> None:
    first = await store(VAULT, "wechat_pay", "n1", "k", CONTENT)
    assert await store(VAULT, "wechat_pay", "n1", "k", b"something else") is None
    assert await _jobs() == [str(first)]
    (row,) = await fetch("select id, content from inbox")
    assert VAULT.open_bytes(row["content"], "inbox.content", row["id"]) == CONTENT, "the first stays as it came"


async def test_another_source_may_use_the_same_key(database: None) -> None:
    ids = {await store(VAULT, source, "n1", "k", CONTENT) for source in ("wechat_pay", "wechat_push", "company:water")}
    assert None not in ids
    assert len(ids) == len(await _jobs()) == 3


async def test_many_at_once_store_one(database: None) -> None:
    stored = await asyncio.gather(*(store(VAULT, "wechat_pay", "n1", "k", CONTENT) for _ in range(20)))
    assert len([one for one in stored if one]) == 1
    assert len(await _jobs()) == 1


async def _in_vain() -> None:
    async with transaction():
        await store(VAULT, "wechat_pay", "n1", "k", CONTENT)
        raise RollBack


async def test_what_is_rolled_back_can_be_delivered_again(database: None) -> None:
    with pytest.raises(RollBack):
        await _in_vain()
    assert await _jobs() == []
    assert await store(VAULT, "wechat_pay", "n1", "k", CONTENT) is not None
