"""Development keys: made once, private, and the two files fit each other."""

import json
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from core import settings as settings_module
from core.settings import Settings
from lianban.engines import Addresses
from lianban.keys import Ports, ensure_dev_keys

ENGINES = Addresses("postgresql:///lianban?host=%2Frun&user=postgres", "unix:///run/valkey.sock")


def test_the_settings_load_and_name_the_engines(tmp_path: Path) -> None:
    ours, _ = ensure_dev_keys(tmp_path, Ports(), "ezhou", ENGINES)
    found = _load(ours)
    assert (found.environment, found.city) == ("dev", "ezhou")
    assert (found.database_url, found.redis_url) == ENGINES
    assert list(found.companies) == ["water", "power", "gas", "telecom_ct", "telecom_cm", "telecom_cu"]


def test_nobody_else_can_read_any_of_it(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o755)
    ensure_dev_keys(tmp_path, Ports(), "ezhou")
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    files = list((tmp_path / "keys").iterdir())
    assert {path.name for path in files} == {"keys.json", "settings.json", "sandbox.json"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_second_start_keeps_the_keys_and_takes_the_new_addresses(tmp_path: Path) -> None:
    ours, theirs = ensure_dev_keys(tmp_path, Ports(8000, 9100), "ezhou")
    before, before_theirs = _load(ours), json.loads(theirs.read_bytes())
    ensure_dev_keys(tmp_path, Ports(8001, 9200), "ezhou", ENGINES)
    after, after_theirs = _load(ours), json.loads(theirs.read_bytes())
    for name in ("token_keys", "field_keys", "blind_index_key", "refresh_key", "qr_keys", "gateway_keys", "wechat"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.wechat_pay.private_key == before.wechat_pay.private_key
    assert after.companies["water"].public_keys == before.companies["water"].public_keys
    assert after_theirs["companies"][0]["private_keys"] == before_theirs["companies"][0]["private_keys"]
    assert after.public_url == "http://127.0.0.1:8001"
    assert after.endpoints.wechat_pay == "http://127.0.0.1:9201"
    assert after.companies["water"].base_url == "http://127.0.0.1:9202/water/v1"
    assert after_theirs["companies"][0]["callback_url"] == "http://127.0.0.1:8001/callbacks/companies/water"


def test_two_machines_share_no_key(tmp_path: Path) -> None:
    one = _load(ensure_dev_keys(tmp_path / "one", Ports(), "ezhou")[0])
    two = _load(ensure_dev_keys(tmp_path / "two", Ports(), "ezhou")[0])
    assert not {key.key for key in one.token_keys} & {key.key for key in two.token_keys}
    assert one.field_keys != two.field_keys
    assert one.wechat_pay.api_v3_key != two.wechat_pay.api_v3_key


def test_each_sides_public_keys_are_the_others_private_ones(tmp_path: Path) -> None:
    ours, theirs = ensure_dev_keys(tmp_path, Ports(), "ezhou")
    found, world = _load(ours), json.loads(theirs.read_bytes())
    assert [company["code"] for company in world["companies"]] == list(found.companies)
    for company in world["companies"]:
        assert [(key["keyid"], _public(key["key"])) for key in company["private_keys"]] == [
            (key.keyid, _numbers(key.key)) for key in found.companies[company["code"]].public_keys
        ]
        assert [(key.keyid, _public(key.key)) for key in found.gateway_keys] == [
            (key["keyid"], _numbers(key["key"])) for key in company["lianban_public_keys"]
        ]
    pay = world["wechat_pay"]
    assert _public(pay["public_key_private"]) == _numbers(pay["public_key"]) == _numbers(found.wechat_pay.public_key)
    assert found.wechat_pay.public_key_id == pay["public_key_id"]
    assert found.wechat_pay.platform_certificates == [pay["platform_certificate"]]
    assert _public(pay["platform_private_key"]) == _of_certificate(pay["platform_certificate"])


def test_the_merchant_is_the_same_on_both_sides(tmp_path: Path) -> None:
    ours, theirs = ensure_dev_keys(tmp_path, Ports(), "ezhou")
    found, world = _load(ours), json.loads(theirs.read_bytes())
    (merchant,) = world["wechat_pay"]["merchants"]
    assert (merchant["mchid"], merchant["api_v3_key"]) == (found.wechat_pay.sp_mchid, found.wechat_pay.api_v3_key)
    assert _public(found.wechat_pay.private_key) == _of_certificate(merchant["certificate"])
    serial = x509.load_pem_x509_certificate(merchant["certificate"].encode()).serial_number
    assert merchant["serial"] == found.wechat_pay.serial == f"{serial:040X}"
    assert world["wechat_pay"]["sub_merchants"] == [company.sub_mchid for company in found.companies.values()]


def test_the_sandbox_knows_every_template_under_the_id_that_we_send(tmp_path: Path) -> None:
    ours, theirs = ensure_dev_keys(tmp_path, Ports(), "ezhou")
    settings = _load(ours)
    apps = json.loads(theirs.read_bytes())["wechat"]["apps"]
    assert [app["kind"] for app in apps] == ["mini_program", "official_account"]
    for app, found in zip(apps, (settings.wechat, settings.official_account), strict=True):
        assert found is not None
        assert {template["id"] for template in app["templates"]} == set(found.templates.values())
        assert (app["appid"], app["secret"]) == (found.appid, found.secret)
        push = (app["push"]["token"], app["push"]["encoding_aes_key"])
        assert push == (found.push_token, found.push_encoding_aes_key)
        assert all(template["keys"] for template in app["templates"])
    assert apps[1]["web_host"] == urlsplit(settings.public_url).netloc


def test_the_demo_accounts_reach_the_sandbox(tmp_path: Path) -> None:
    _, theirs = ensure_dev_keys(tmp_path, Ports(), "ezhou")
    numbers = {
        company["code"]: {account["number"] for account in company["accounts"]}
        for company in json.loads(theirs.read_bytes())["companies"]
    }
    assert "0203001234" in numbers["water"]
    assert all(numbers.values())


def _load(path: Path) -> Settings:
    return settings_module.load({"LIANBAN_SETTINGS": str(path)})


def _public(private_pem: str) -> bytes:
    return _raw(load_pem_private_key(private_pem.encode(), None).public_key())


def _numbers(public_pem: str | None) -> bytes:
    assert public_pem is not None
    return _raw(load_pem_public_key(public_pem.encode()))


def _of_certificate(pem: str) -> bytes:
    return _raw(x509.load_pem_x509_certificate(pem.encode()).public_key())


def _raw(key: object) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
