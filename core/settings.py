"""Settings: one JSON file for keys and addresses, a few environment variables for what a host decides.

``LIANBAN_SETTINGS`` names the file (mode 0600, a mounted secret in production; ``lianban dev`` writes one with fresh keys).
``LIANBAN_ENV`` is ``dev``, ``test`` or ``production``; outside dev and test a missing, short or well-known secret stops the start.

===================  ==========================================================================
``DATABASE_URL``     ``postgresql://user@host/db`` or ``postgresql:///db?host=/socket/dir``
``DATABASE_OWNER_URL``  the same for ``lianban migrate``; default ``DATABASE_URL``
``REDIS_URL``        ``redis://…`` or ``unix:///path/to/socket``
``LIANBAN_CLOCK_FILE``  dev only: seconds to add to the real time
===================  ==========================================================================
"""

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from core.errors import LianbanError

Environment = Literal["dev", "test", "production"]
_CODE = re.compile(r"[a-z][a-z0-9_]{0,29}")
_WELL_KNOWN = ("changeme", "secret", "password", "example", "test", "demo", "123456", "00000000")


class SettingsInvalid(LianbanError):
    """A setting is missing, weak or contradictory; the process must not start."""

    code = "settings_invalid"


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key with its id. `key` is PEM for signature keys, base64 of 32 bytes for symmetric ones."""

    keyid: str
    key: str

    def raw(self) -> bytes:
        """The 32 bytes of a symmetric key."""
        return base64.b64decode(self.key)


class WeChatApp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mini-program or an official account: its identity at WeChat and the token and AES key of its message push."""

    appid: str
    secret: str
    push_token: str
    push_encoding_aes_key: str
    templates: dict[str, str] = {}
    """Template name of the city pack → template id of this account."""


class OfficialAccount(WeChatApp, frozen=True, forbid_unknown_fields=True):
    """An official account. `web_scope` is how its web pages ask who is there; null: nobody logs in by them."""

    web_scope: Literal["snsapi_base", "snsapi_userinfo"] | None = "snsapi_userinfo"


class WeChatPay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The city's service-provider number at WeChat Pay, partner mode. PEM strings; `api_v3_key` has 32 characters."""

    sp_appid: str
    sp_mchid: str
    serial: str
    private_key: str
    api_v3_key: str
    notify_url: str
    refund_notify_url: str
    public_key_id: str | None = None
    public_key: str | None = None
    platform_certificates: list[str] = []


class Alipay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The city's application at Alipay, by which companies are paid that have authorised it. PEM strings.

    Certificate mode: `certificate` (ours), `alipay_certificates`, `root_certificates`. Key mode: `alipay_public_key` alone.
    """

    app_id: str
    private_key: str
    notify_url: str
    certificate: str | None = None
    alipay_certificates: list[str] = []
    root_certificates: str | None = None
    alipay_public_key: str | None = None
    service_provider: str | None = None
    """The city's own merchant number, named in each order as the service provider."""


class AlipayMerchant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A company as a merchant at Alipay. Without `app_auth_token` it owns the application itself; without `seller_id` the pack's counts."""

    app_auth_token: str | None = None
    seller_id: str | None = None


class Sms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The account at the supplier of text messages (Tencent Cloud), and its reviewed signature and templates."""

    secret_id: str
    secret_key: str
    app_id: str
    sign_name: str
    templates: dict[str, str] = {}
    """Template name of the city pack → template id of this account."""


class CompanyKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a company's gateway stands, its public keys (at most two live) and its merchant number."""

    base_url: str
    public_keys: list[Key]
    sub_mchid: str | None = None
    alipay: AlipayMerchant | None = None
    """None: this company cannot be paid through Alipay."""


class ConstructionPlatform(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The construction-approval platform (工改平台): where it takes our calls, and its public keys (at most two live)."""

    base_url: str
    public_keys: list[Key]


class IdentitySource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A door of the province's unified identity at which people and organizations log in, and our number there.

    `protocol` is ``code`` (OAuth code with PKCE and a signed identity token) or ``ticket`` (one-time ticket, signed calls).
    `issuer` is the space in which the source's subject ids are unique; the browser goes to `login_url`, our server asks `api_url`.
    """

    protocol: Literal["code", "ticket"]
    issuer: str
    login_url: str
    api_url: str
    client_id: str
    secret: str
    public_key: str = ""
    """Ed25519, PEM: what a source of the protocol ``code`` signs its identity tokens with."""


class ObjectStore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bucket of anything that speaks S3, addressed by path: `endpoint` is ``https://host``, `bucket` is private."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: str


class Materials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the sealed bytes of materials lie: a private folder, or a bucket; one of the two."""

    folder: str | None = None
    bucket: ObjectStore | None = None


class Scanner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A clamd that looks at materials: `address` is ``unix:/run/clamav/clamd.ctl`` or ``tcp://127.0.0.1:3310``.

    `most_bytes` is at most what clamd takes (its StreamMaxLength), `timeout_s` for the whole of a scan. It gets papers in clear, so where
    real people are served it stands on the same machine.
    """

    address: str
    timeout_s: float = 60.0
    most_bytes: int = 25_000_000


class Endpoints(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base addresses of the platforms; the sandbox stands in for them in dev."""

    wechat: str = "https://api.weixin.qq.com"
    wechat_pages: str = "https://open.weixin.qq.com"
    """Where browsers inside WeChat are asked who they are."""
    wechat_pay: str = "https://api.mch.weixin.qq.com"
    alipay: str = "https://openapi.alipay.com"
    alipay_bills: str = "https://dwbillcenter.alipay.com"
    sms: str = "https://sms.tencentcloudapi.com"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a process needs to know from outside. Built by :func:`load`."""

    environment: Environment
    city: str
    public_url: str
    database_url: str
    redis_url: str
    token_keys: list[Key]
    """Ed25519 private keys (PEM); the first signs, all verify."""
    field_keys: list[Key]
    """AES-256 keys for personal fields; the first encrypts, all decrypt."""
    blind_index_key: str
    refresh_key: str
    qr_keys: list[Key]
    gateway_keys: list[Key]
    """Ed25519 private keys that sign our calls to companies; the first signs."""
    wechat: WeChatApp
    wechat_pay: WeChatPay
    companies: dict[str, CompanyKeys]
    construction_platform: ConstructionPlatform | None = None
    """None: nothing is pushed to us, and the door for it is shut."""
    alipay: Alipay | None = None
    """None: nobody is paid through Alipay."""
    official_account: OfficialAccount | None = None
    """Without it nobody is told there; codes and pushes of the official account do not exist."""
    sms: Sms | None = None
    """Without it no text messages leave, and phone numbers are proved by WeChat only."""
    materials: Materials = Materials()
    """Where one of several machines serves, it is a bucket, or a folder that all of them share."""
    scanner: Scanner | None = None
    """None: nobody looks for viruses, and materials stay ``unscanned``."""
    endpoints: Endpoints = Endpoints()
    identity_sources: dict[str, IdentitySource] = {}
    return_urls: list[str] = []
    """Addresses of our own pages to which a login may come back, compared letter by letter; the first takes what fits nowhere."""
    database_owner_url: str = ""
    clock_file: str | None = None
    pool_size: int = 10
    pool_wait_s: float = 1.0
    """How long a request waits for a connection to the database before it is refused."""
    database_wait_s: float = 50.0
    """How long a process that starts waits for a database that does not take connections yet: less than its supervisor waits for it."""
    redis_wait_s: float = 0.3
    """How long one question to Valkey or Redis may take; there is no second try."""
    address_limit_factor: int = 50
    """How many times as often as one device an address may try: so many stand behind one of a mobile carrier."""
    worker_concurrency: int = 10
    forwarded_secret: str | None = None
    """Shared secret of the reverse proxy (RFC 7239 `by`); without it forwarded client addresses are ignored."""

    @property
    def is_open_world(self) -> bool:
        """True where real people are served."""
        return self.environment == "production"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings.

    Raises:
        SettingsInvalid: a value is missing, malformed, weak or not allowed in this environment.
    """
    environ = os.environ if environ is None else environ
    path = environ.get("LIANBAN_SETTINGS")
    if not path:
        raise SettingsInvalid(
            "LIANBAN_SETTINGS names no file; `lianban dev` makes one, docs/operations.md describes it"
        )
    try:
        values = msgspec.json.decode(Path(path).read_bytes(), type=dict)
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsInvalid(f"{path}: {error}") from None
    for variable, name in (
        ("DATABASE_URL", "database_url"),
        ("DATABASE_OWNER_URL", "database_owner_url"),
        ("REDIS_URL", "redis_url"),
        ("LIANBAN_ENV", "environment"),
        ("LIANBAN_CLOCK_FILE", "clock_file"),
    ):
        if environ.get(variable):
            values[name] = environ[variable]
    try:
        settings = msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise SettingsInvalid(f"{path}: {error}") from None
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Refuse what must not run. Lengths hold everywhere; strength and addresses only where real people are served.

    Raises:
        SettingsInvalid: naming the setting and what is wrong with it, never its value.
    """
    symmetric = [
        *settings.field_keys,
        *settings.qr_keys,
        Key("blind_index_key", settings.blind_index_key),
        Key("refresh_key", settings.refresh_key),
    ]
    for name, group in (
        ("token_keys", settings.token_keys),
        ("field_keys", settings.field_keys),
        ("qr_keys", settings.qr_keys),
        ("gateway_keys", settings.gateway_keys),
    ):
        if not group:
            raise SettingsInvalid(f"{name}: at least one key is needed")
        if len({key.keyid for key in group}) != len(group):
            raise SettingsInvalid(f"{name}: a key id stands twice")
    for key in symmetric:
        _check_symmetric(key)
    if len({key.key for key in symmetric}) != len(symmetric):
        raise SettingsInvalid("two purposes share one key")
    if len(settings.wechat_pay.api_v3_key.encode()) != 32:
        raise SettingsInvalid("wechat_pay.api_v3_key: 32 characters are needed")
    _check_push_keys(settings)
    _check_live_keys(settings)
    if (settings.materials.folder is None) == (settings.materials.bucket is None):
        raise SettingsInvalid("materials: a folder or a bucket is needed, and not both")
    _check_scanner(settings)
    if settings.alipay is not None:
        _check_alipay(settings.alipay, settings.companies)
    _check_identity_sources(settings)
    if settings.is_open_world:
        _check_open_world(settings)


def _check_scanner(settings: Settings) -> None:
    if settings.scanner is None:
        return
    address = urlsplit(settings.scanner.address)
    try:
        is_whole = bool(address.path) if address.scheme == "unix" else bool(address.hostname and address.port)
    except ValueError:
        is_whole = False
    if address.scheme not in ("unix", "tcp") or not is_whole:
        raise SettingsInvalid("scanner.address: unix:/path or tcp://host:port")
    if settings.scanner.timeout_s <= 0 or settings.scanner.most_bytes <= 0:
        raise SettingsInvalid("scanner: timeout_s and most_bytes are more than nothing")
    if settings.is_open_world and address.scheme == "tcp" and address.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise SettingsInvalid("scanner.address: papers go there in clear, so it is on this machine")


def _check_push_keys(settings: Settings) -> None:
    for name, app in (("wechat", settings.wechat), ("official_account", settings.official_account)):
        if app is not None and len(app.push_encoding_aes_key) != 43:
            raise SettingsInvalid(f"{name}.push_encoding_aes_key: 43 characters are needed")


def _check_live_keys(settings: Settings) -> None:
    signers = {f"companies.{code}": company.public_keys for code, company in settings.companies.items()}
    if settings.construction_platform is not None:
        signers["construction_platform"] = settings.construction_platform.public_keys
    for name, keys in signers.items():
        if not 1 <= len(keys) <= 2:
            raise SettingsInvalid(f"{name}.public_keys: one or two keys are live at once")


def _check_alipay(alipay: Alipay, companies: Mapping[str, CompanyKeys]) -> None:
    certified = (alipay.certificate, alipay.root_certificates, alipay.alipay_certificates)
    if not (all(certified) if alipay.alipay_public_key is None else not any(certified)):
        raise SettingsInvalid(
            "alipay: either alipay_public_key, or certificate, root_certificates and alipay_certificates"
        )
    tokens = [company.alipay.app_auth_token for company in companies.values() if company.alipay is not None]
    if len(set(tokens)) != len(tokens):
        raise SettingsInvalid("companies.*.alipay: each has an app_auth_token of its own; one may own the application")


def _check_identity_sources(settings: Settings) -> None:
    account = settings.official_account
    if (settings.identity_sources or (account and account.web_scope)) and not settings.return_urls:
        raise SettingsInvalid("return_urls: a login has nowhere to come back to")
    issuers = [source.issuer for source in settings.identity_sources.values()]
    if len(set(issuers)) != len(issuers):
        raise SettingsInvalid("identity_sources: two sources name one issuer")
    for code, source in settings.identity_sources.items():
        if code.startswith("wechat_"):
            raise SettingsInvalid(f"identity_sources.{code}: WeChat's own logins have these names")
        if not _CODE.fullmatch(code) or not 1 <= len(source.issuer) <= 64:
            raise SettingsInvalid(f"identity_sources.{code}: a code of 1 to 30 characters, an issuer of at most 64")
        if source.protocol == "code" and not source.public_key:
            raise SettingsInvalid(
                f"identity_sources.{code}.public_key: the key its identity tokens are signed with is needed"
            )
    for address in settings.return_urls:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.username or not address.isascii():
            raise SettingsInvalid("return_urls: whole http(s) addresses are needed")


def _check_symmetric(key: Key) -> None:
    try:
        raw = base64.b64decode(key.key, validate=True)
    except ValueError:
        raise SettingsInvalid(f"{key.keyid}: not base64") from None
    if len(raw) != 32 or len(set(raw)) < 12:
        raise SettingsInvalid(f"{key.keyid}: 32 random bytes are needed")


def _check_open_world(settings: Settings) -> None:
    tokens = {
        f"companies.{code}.alipay.app_auth_token": company.alipay.app_auth_token
        for code, company in settings.companies.items()
        if settings.alipay is not None and company.alipay is not None and company.alipay.app_auth_token is not None
    }
    for name, value in (
        *tokens.items(),
        ("wechat.secret", settings.wechat.secret),
        ("wechat.push_token", settings.wechat.push_token),
        ("wechat_pay.api_v3_key", settings.wechat_pay.api_v3_key),
        *(
            (("official_account.secret", account.secret), ("official_account.push_token", account.push_token))
            if (account := settings.official_account)
            else ()
        ),
        *((("sms.secret_key", settings.sms.secret_key),) if settings.sms else ()),
        *((("materials.bucket.secret_key", bucket.secret_key),) if (bucket := settings.materials.bucket) else ()),
        *((f"identity_sources.{code}.secret", source.secret) for code, source in settings.identity_sources.items()),
    ):
        if len(value) < 16 or len(set(value)) < 8 or any(word in value.lower() for word in _WELL_KNOWN):
            raise SettingsInvalid(f"{name}: missing or weak")
    if settings.clock_file:
        raise SettingsInvalid("clock_file: time does not travel where real people are served")
    addresses = [
        settings.public_url,
        settings.endpoints.wechat,
        settings.endpoints.wechat_pages,
        settings.endpoints.wechat_pay,
        settings.endpoints.sms,
        settings.wechat_pay.notify_url,
        settings.wechat_pay.refund_notify_url,
    ]
    addresses += settings.return_urls
    addresses += [bucket.endpoint] if bucket else []
    addresses += [url for source in settings.identity_sources.values() for url in (source.login_url, source.api_url)]
    addresses += [company.base_url for company in settings.companies.values()]
    addresses += [platform.base_url] if (platform := settings.construction_platform) else []
    if settings.alipay is not None:
        addresses += [settings.endpoints.alipay, settings.endpoints.alipay_bills, settings.alipay.notify_url]
    for address in addresses:
        if urlsplit(address).scheme != "https":
            raise SettingsInvalid(f"{urlsplit(address).hostname}: only https is allowed")
    if (
        not (settings.wechat_pay.public_key and settings.wechat_pay.public_key_id)
        and not settings.wechat_pay.platform_certificates
    ):
        raise SettingsInvalid("wechat_pay: neither a public key nor a platform certificate")
