"""What is missing, weak or contradictory stops the start, and its value is never said."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core import settings as settings_module
from core.settings import Key, Settings, SettingsInvalid, check, load
from lianban.keys import Ports, ensure_dev_keys

STRONG = "q7Zt2mXv9KpL4sWd8RbN3yHc6GfJ1aTe"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings as ``lianban dev`` makes them."""
    return ensure_dev_keys(tmp_path_factory.mktemp("keys"), Ports(19900, 19910), "ezhou", environment="test")[0]


@pytest.fixture
def good(file: Path) -> Settings:
    """Settings that may start a test."""
    return load(_environ(file))


@pytest.fixture
def production(good: Settings) -> Settings:
    """Settings that may serve real people."""
    replace = msgspec.structs.replace
    return replace(
        good,
        environment="production",
        public_url="https://lb.ezhou.example",
        clock_file=None,
        endpoints=settings_module.Endpoints(),
        wechat=replace(good.wechat, secret=STRONG, push_token=STRONG[::-1]),
        wechat_pay=replace(
            good.wechat_pay, api_v3_key=STRONG, notify_url="https://lb.ezhou.example/n", refund_notify_url="https://lb.ezhou.example/r",
            public_key="pem", public_key_id="id",
        ),
        alipay=good.alipay and replace(good.alipay, notify_url="https://lb.ezhou.example/a"),
        identity_sources={
            code: replace(source, login_url=f"https://{code}.example/login", api_url=f"https://{code}.example/api")
            for code, source in good.identity_sources.items()
        },
        return_urls=["https://lb.ezhou.example/h5/"],
        companies={code: replace(keys, base_url=f"https://{code}.example/api") for code, keys in good.companies.items()},
        construction_platform=good.construction_platform and replace(good.construction_platform, base_url="https://gg.example"),
    )  # fmt: skip


def test_nobody_logs_in_by_web_pages_that_have_nowhere_to_come_back_to(good: Settings) -> None:
    replace = msgspec.structs.replace
    alone = replace(good, identity_sources={}, return_urls=[])
    with pytest.raises(SettingsInvalid, match="return_urls"):
        check(alone)
    assert good.official_account is not None
    check(replace(alone, official_account=replace(good.official_account, web_scope=None)))
    named = {"wechat_official_account": next(iter(good.identity_sources.values()))}
    with pytest.raises(SettingsInvalid, match="wechat_official_account"):
        check(replace(good, identity_sources=named))


def _environ(file: Path, **more: str) -> dict[str, str]:
    return {"LIANBAN_SETTINGS": str(file), "DATABASE_URL": "postgresql:///x", "REDIS_URL": "unix:///x", **more}


def _with(settings: Settings, path: str, value: Any) -> Settings:
    """A copy with one value at ``a.b`` changed."""
    name, _, rest = path.partition(".")
    inner = getattr(settings, name)
    if isinstance(inner, dict):
        inner_name, _, rest = rest.partition(".")
        return msgspec.structs.replace(settings, **{name: {**inner, inner_name: _with(inner[inner_name], rest, value)}})
    return msgspec.structs.replace(settings, **{name: _with(inner, rest, value) if rest else value})


def _secrets(settings: Settings) -> set[str]:
    keys = [*settings.token_keys, *settings.field_keys, *settings.qr_keys, *settings.gateway_keys]
    found = {key.key for key in keys} | {settings.blind_index_key, settings.refresh_key, STRONG, settings.wechat.secret}
    found |= {
        keys.alipay.app_auth_token for keys in settings.companies.values() if keys.alipay and keys.alipay.app_auth_token
    }
    return found | {settings.wechat.push_token, settings.wechat_pay.api_v3_key, settings.wechat_pay.private_key}


def test_what_dev_makes_is_accepted_and_the_environment_is_heard(file: Path) -> None:
    found = load(_environ(file, LIANBAN_CLOCK_FILE="/x/clock", DATABASE_OWNER_URL="postgresql:///owner"))
    assert (found.database_url, found.database_owner_url, found.redis_url) == (
        "postgresql:///x",
        "postgresql:///owner",
        "unix:///x",
    )
    assert (found.clock_file, found.environment, found.is_open_world) == ("/x/clock", "test", False)


def test_without_a_file_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="LIANBAN_SETTINGS names no file"):
        load({})
    with pytest.raises(SettingsInvalid, match="No such file"):
        load(_environ(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SettingsInvalid, match=r"bad\.json"):
        load(_environ(tmp_path / "bad.json"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"field_keys": None}, "field_keys"),
        ({"environment": "staging"}, "environment"),
        ({"refresh_kye": "typo"}, "refresh_kye"),
        ({"pool_size": "ten"}, "pool_size"),
    ],
)
def test_a_missing_unknown_or_mistyped_setting_is_named(
    file: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    values = msgspec.json.decode(file.read_bytes()) | change
    values = {name: value for name, value in values.items() if value is not None}
    (tmp_path / "settings.json").write_bytes(msgspec.json.encode(values))
    with pytest.raises(SettingsInvalid, match=said):
        load(_environ(tmp_path / "settings.json"))


def _weak(byte: bytes) -> str:
    return base64.b64encode(byte * 32).decode()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("token_keys", [], "token_keys: at least one key"),
        ("field_keys", [], "field_keys: at least one key"),
        ("qr_keys", [], "qr_keys: at least one key"),
        ("gateway_keys", [], "gateway_keys: at least one key"),
        ("gateway_keys", [Key("a", "x"), Key("a", "y")], "gateway_keys: a key id stands twice"),
        ("refresh_key", "not base64!", "refresh_key: not base64"),
        ("refresh_key", base64.b64encode(bytes(range(31))).decode(), "refresh_key: 32 random bytes"),
        ("blind_index_key", _weak(b"\0"), "blind_index_key: 32 random bytes"),
        ("field_keys", [Key("f1", _weak(b"ab"[:1]))], "f1: 32 random bytes"),
        ("wechat_pay.api_v3_key", "short", r"wechat_pay\.api_v3_key: 32 characters"),
        ("wechat.push_encoding_aes_key", "x" * 42, r"wechat\.push_encoding_aes_key: 43 characters"),
        ("alipay.certificate", None, "alipay: either alipay_public_key, or certificate"),
        ("alipay.alipay_public_key", "pem", "alipay: either alipay_public_key, or certificate"),
        ("alipay.alipay_certificates", [], "alipay: either alipay_public_key, or certificate"),
        ("companies.water.public_keys", [], r"companies\.water\.public_keys: one or two"),
        ("companies.water.public_keys", [Key(name, name) for name in "abc"], r"companies\.water\.public_keys: one or two"),
    ],
)  # fmt: skip
def test_what_no_process_may_start_with(good: Settings, path: str, value: Any, said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        check(_with(good, path, value))


def test_alipay_may_be_left_out_and_one_company_may_own_the_application(good: Settings) -> None:
    check(msgspec.structs.replace(good, alipay=None))
    alone = {
        code: msgspec.structs.replace(keys, alipay=None) for code, keys in good.companies.items() if code != "water"
    }
    owner = msgspec.structs.replace(good.companies["water"], alipay=settings_module.AlipayMerchant())
    check(msgspec.structs.replace(good, companies={**alone, "water": owner}))
    with pytest.raises(SettingsInvalid, match="each has an app_auth_token of its own"):
        check(msgspec.structs.replace(good, companies={**alone, "water": owner, "gas": owner}))


def test_two_purposes_may_not_share_a_key(good: Settings) -> None:
    with pytest.raises(SettingsInvalid, match="two purposes share one key"):
        check(msgspec.structs.replace(good, refresh_key=good.blind_index_key))


def test_production_accepts_what_is_strong_and_on_https(production: Settings) -> None:
    check(production)
    assert production.is_open_world


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("wechat.secret", "", r"wechat\.secret: missing or weak"),
        ("wechat.secret", "abcabcabcabcabcabc", r"wechat\.secret: missing or weak"),
        ("wechat.push_token", f"{STRONG}test", r"wechat\.push_token: missing or weak"),
        ("wechat_pay.api_v3_key", "SecreT" + STRONG[:26], r"wechat_pay\.api_v3_key: missing or weak"),
        ("companies.water.alipay.app_auth_token", "", r"companies\.water\.alipay\.app_auth_token: missing or weak"),
        ("companies.water.alipay.app_auth_token", "secret123456789012", r"app_auth_token: missing or weak"),
        ("alipay.notify_url", "http://lb.ezhou.example/a", "only https"),
        ("endpoints.alipay", "http://127.0.0.1:9103", "only https"),
        ("clock_file", "/x/clock", "clock_file: time does not travel"),
        ("public_url", "http://lb.ezhou.example", "only https"),
        ("endpoints.wechat", "http://127.0.0.1:9100", "only https"),
        ("endpoints.wechat_pay", "http://127.0.0.1:9101", "only https"),
        ("wechat_pay.notify_url", "http://lb.ezhou.example/n", "only https"),
        ("wechat_pay.refund_notify_url", "ftp://lb.ezhou.example/n", "only https"),
        ("companies.water.base_url", "http://water.example", "only https"),
        ("construction_platform.base_url", "http://gg.example", "only https"),
    ],
)
def test_production_refuses_what_a_test_may_have(
    production: Settings, good: Settings, path: str, value: Any, said: str
) -> None:
    with pytest.raises(SettingsInvalid, match=said) as refused:
        check(_with(production, path, value))
    assert not [secret for secret in _secrets(production) if secret in str(refused.value)]
    assert len(str(value)) < 10 or "://" in str(value) or str(value) not in str(refused.value)


def test_production_needs_the_platform_s_key_or_certificate(production: Settings) -> None:
    bare = msgspec.structs.replace(production.wechat_pay, public_key=None, public_key_id=None, platform_certificates=[])
    with pytest.raises(SettingsInvalid, match="neither a public key nor a platform certificate"):
        check(msgspec.structs.replace(production, wechat_pay=bare))
    check(msgspec.structs.replace(production, wechat_pay=msgspec.structs.replace(bare, platform_certificates=["pem"])))


def test_no_message_of_a_refusal_holds_a_secret(file: Path, good: Settings, tmp_path: Path) -> None:
    values = msgspec.json.decode(file.read_bytes())
    for name in ("refresh_key", "blind_index_key", "field_keys", "token_keys", "wechat", "wechat_pay"):
        (tmp_path / "settings.json").write_bytes(msgspec.json.encode(values | {name: 7}))
        with pytest.raises(SettingsInvalid) as refused:
            load(_environ(tmp_path / "settings.json"))
        assert not [secret for secret in _secrets(good) if secret in str(refused.value)]
    (tmp_path / "settings.json").write_bytes(file.read_bytes()[:-20])
    with pytest.raises(SettingsInvalid) as refused:
        load(_environ(tmp_path / "settings.json"))
    assert not [secret for secret in _secrets(good) if secret in str(refused.value)]
