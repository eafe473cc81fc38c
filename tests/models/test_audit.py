"""One row for what somebody did, in the transaction in which he did it."""

import asyncpg
import pytest

from core import ids
from core.database import fetch, transaction
from models import audit
from models.lifecycle import Actor

STAFF = Actor("staff", "S1")


class RollBack(Exception):
    """Ends a transaction."""


async def _in_vain() -> None:
    async with transaction():
        await audit.record(STAFF, "person.read", "person", "p1")
        raise RollBack


async def test_it_says_who_did_what_to_whose_object(database: None) -> None:
    subject_id = ids.new_id()
    await audit.record(STAFF, "person.read", "person", subject_id, "purpose:complaint", "r1")
    (row,) = await fetch("select actor_kind, actor_id, action, subject, subject_id, detail, request_id, at from audit")
    assert tuple(row.values())[:-1] == (
        "staff",
        "S1",
        "person.read",
        "person",
        str(subject_id),
        "purpose:complaint",
        "r1",
    )


async def test_it_goes_with_its_transaction(database: None) -> None:
    with pytest.raises(RollBack):
        await _in_vain()
    assert await fetch("select 1 from audit") == []


async def test_a_detail_that_is_too_long_is_refused_not_cut(database: None) -> None:
    with pytest.raises(asyncpg.StringDataRightTruncationError):
        await audit.record(STAFF, "a", "b", "c", "x" * 201)
