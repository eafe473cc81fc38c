"""A sealed cell opens only with its key, in its own column and row."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import ids
from core.crypto import CannotDecrypt, Vault

OLD, NEW, INDEX = ("old", os.urandom(32)), ("new", os.urandom(32)), os.urandom(32)
ROW = ids.new_id()
COLUMN = "person.phone"


@given(text=st.text(), row=st.uuids())
def test_what_was_sealed_opens_again(text: str, row: object) -> None:
    vault = Vault([NEW], INDEX)
    cell = vault.seal(text, COLUMN, str(row))
    assert vault.open(cell, COLUMN, str(row)) == text
    assert len(text.encode()) < 4 or text.encode() not in cell


def test_bytes_and_what_a_driver_returns_open_too() -> None:
    vault = Vault([NEW], INDEX)
    cell = vault.seal(b"\x00\xff", COLUMN, ROW)
    assert vault.open_bytes(memoryview(cell), COLUMN, ROW) == b"\x00\xff"  # type: ignore[arg-type]


def test_the_same_text_is_never_sealed_the_same_way() -> None:
    vault = Vault([NEW], INDEX)
    assert len({vault.seal("13800000001", COLUMN, ROW) for _ in range(200)}) == 200


@pytest.mark.parametrize(
    ("column", "row"),
    [("person.name", ROW), ("users.phone", ROW), (COLUMN, ids.new_id()), (COLUMN, ""), (f"{COLUMN}.", ROW)],
)
def test_a_cell_copied_elsewhere_does_not_open(column: str, row: object) -> None:
    vault = Vault([NEW], INDEX)
    cell = vault.seal("13800000001", COLUMN, ROW)
    with pytest.raises(CannotDecrypt) as refused:
        vault.open(cell, column, str(row))
    assert "138" not in str(refused.value)


def test_any_changed_byte_is_seen() -> None:
    vault = Vault([NEW], INDEX)
    cell = vault.seal("张三", COLUMN, ROW)
    for place in range(len(cell)):
        changed = cell[:place] + bytes((cell[place] ^ 1,)) + cell[place + 1 :]
        with pytest.raises(CannotDecrypt):
            vault.open(changed, COLUMN, ROW)
    for length in range(len(cell)):
        with pytest.raises(CannotDecrypt):
            vault.open(cell[:length], COLUMN, ROW)


def test_keys_rotate_the_first_seals_and_all_open() -> None:
    before = Vault([OLD], INDEX).seal("张三", COLUMN, ROW)
    both = Vault([NEW, OLD], INDEX)
    assert both.open(before, COLUMN, ROW) == "张三"
    after = both.seal("张三", COLUMN, ROW)
    assert (after[0], after[1], after[2:5]) == (1, 3, b"new"), "algorithm and key id stand in the cell"
    assert Vault([NEW], INDEX).open(after, COLUMN, ROW) == "张三"
    with pytest.raises(CannotDecrypt, match="unknown key"):
        Vault([NEW], INDEX).open(before, COLUMN, ROW)


def test_another_key_under_the_same_id_does_not_open() -> None:
    cell = Vault([OLD], INDEX).seal("张三", COLUMN, ROW)
    with pytest.raises(CannotDecrypt, match="not this cell"):
        Vault([(OLD[0], os.urandom(32))], INDEX).open(cell, COLUMN, ROW)


def test_a_blind_index_finds_equal_values_of_one_purpose_under_one_key() -> None:
    vault = Vault([NEW], INDEX)
    found = vault.index(COLUMN, "13800000001")
    assert len(found) == 32
    assert found == Vault([OLD], INDEX).index(COLUMN, "13800000001"), "rotation of the field keys does not touch it"
    assert found != vault.index(COLUMN, "13800000002")
    assert found != vault.index("person.id_number", "13800000001")
    assert found != Vault([NEW], os.urandom(32)).index(COLUMN, "13800000001")


def test_purpose_and_value_cannot_be_shifted_into_each_other() -> None:
    vault = Vault([NEW], INDEX)
    assert vault.index("a", "bc") != vault.index("ab", "c")
