"""Ids that lie together in time and are never guessed."""

import re
from collections.abc import Iterator
from datetime import timedelta
from uuid import RFC_4122

import pytest

from core import clock, ids


@pytest.fixture(autouse=True)
def _home() -> Iterator[None]:
    yield
    clock.follow(None)


def test_an_id_is_a_version_7_uuid_of_this_moment() -> None:
    made = ids.new_id()
    assert (made.version, made.variant) == (7, RFC_4122)
    assert abs((made.int >> 80) - clock.timestamp() * 1000) < 1000


def test_a_later_id_is_greater() -> None:
    made = []
    for second in range(100):
        clock.travel(timedelta(seconds=second))
        made.append(ids.new_id())
    assert made == sorted(made)
    assert [one.bytes for one in made] == sorted(one.bytes for one in made)
    assert [str(one) for one in made] == sorted(str(one) for one in made)


def test_ids_of_one_moment_differ_in_all_their_random_bits() -> None:
    made = {ids.new_id().int for _ in range(20_000)}
    assert len(made) == 20_000
    random = (1 << 80) - 1 & ~(0xF << 76) & ~(0b11 << 62)
    seen_set = seen_clear = 0
    for one in made:
        seen_set |= one
        seen_clear |= ~one
    assert seen_set & random == random
    assert seen_clear & random == random


def test_a_secret_is_43_characters_of_base64url() -> None:
    made = {ids.new_secret() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", one) for one in made)


def test_a_reference_can_be_read_aloud() -> None:
    made = {ids.new_reference() for _ in range(5000)}
    assert len(made) == 5000
    assert all(re.fullmatch(r"[2-9A-HJKMNP-RT-Z]{4}-[2-9A-HJKMNP-RT-Z]{4}", one) for one in made)
    assert set("".join(made)).isdisjoint("01OILS"), "letters and digits that are mistaken for one another"
