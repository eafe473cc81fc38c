"""A pack with a fault does not load, and the error says in which file, where and what."""

from pathlib import Path

import pytest

from cities.errors import CityPackInvalid
from cities.loader import load, load_city
from tests.cities.packs import change, copy


def test_a_copy_of_the_pack_loads_and_equals_the_original(tmp_path: Path) -> None:
    assert load(copy(tmp_path)) == load_city("ezhou")


@pytest.mark.parametrize("file", ["city.toml", "areas.toml", "companies.toml", "payments.toml", "messages.toml"])
def test_a_pack_written_anew_is_the_same_pack(tmp_path: Path, file: str) -> None:
    assert load(change(tmp_path, file, lambda raw: None)) == load_city("ezhou")


@pytest.mark.parametrize("code", ["", "Ezhou", "../cities", "ezhou\n", "wuhan"])
def test_a_city_without_a_pack_is_refused(code: str) -> None:
    with pytest.raises(CityPackInvalid, match=r"is no code of a city|there is no such city pack"):
        load_city(code)


def test_a_code_is_checked_before_it_becomes_a_path() -> None:
    with pytest.raises(CityPackInvalid, match="is no code of a city"):
        load_city("../cities/ezhou")


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    pack = copy(tmp_path)
    path = pack / "city.toml"
    path.write_text(path.read_text(encoding="utf-8") + 'name = "黄石市"\n', encoding="utf-8")

    with pytest.raises(CityPackInvalid, match=r"city.toml: \$: cannot be read: Cannot overwrite a value"):
        load(pack)


@pytest.mark.parametrize("name", ["holiday.toml", "payment.toml", "messages.json"])
def test_a_file_nobody_reads_is_refused(tmp_path: Path, name: str) -> None:
    pack = copy(tmp_path)
    (pack / name).write_text("", encoding="utf-8")

    with pytest.raises(CityPackInvalid, match="no file of this name is known"):
        load(pack)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    pack = copy(tmp_path)
    (pack / "payments.toml").unlink()

    with pytest.raises(CityPackInvalid, match=r"payments\.toml: .* the file is missing"):
        load(pack)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    pack = copy(tmp_path)
    (pack / "city.toml").write_bytes('name = "鄂州市"'.encode("gb18030"))

    with pytest.raises(CityPackInvalid, match=r"city\.toml: .* cannot be read"):
        load(pack)
