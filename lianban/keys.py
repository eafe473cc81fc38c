"""Keys and addresses for development: all of ours and all of the sandbox's, made once on this machine.

``var/keys`` (mode 0700) holds three files of mode 0600: ``keys.json``, the keys themselves, to which a later start only
adds; ``settings.json`` for us and ``sandbox.json`` for the sandbox, written anew on every start from the keys, the
addresses and the city pack. Each side's file holds its own private keys and the other's public ones.
"""

import base64
import json
import os
import secrets
import string
import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from cities.demo import load_demo
from cities.loader import load_city
from cities.schema import City, Company, Template
from core import clock, settings
from core.settings import Settings
from lianban import keys_alipay
from lianban.engines import Addresses

_ALPHANUMERIC = string.ascii_letters + string.digits
_MCHID = "1900000001"
_IDENTITY_SOURCES: dict[str, tuple[Literal["code", "ticket"], str]] = {
    "ehuiban": ("ticket", "鄂汇办"),
    "hubei_portal": ("code", "湖北政务服务网"),
}
"""The doors of the unified identity: code → protocol and name."""
_CERTIFICATE_LIFE = timedelta(days=5 * 365)


class Ports(NamedTuple):
    """Loopback ports: the API's, and the first of the sandbox's five."""

    api: int = 8000
    sandbox: int = 9100


_NO_ENGINES = Addresses("", "")


def ensure_dev_keys(
    var_dir: Path,
    ports: Ports,
    city: str,
    engines: Addresses = _NO_ENGINES,
    *,
    environment: settings.Environment = "dev",
) -> tuple[Path, Path]:
    """Make the keys that are missing under `var_dir` and write both files; returns the paths of ours and the sandbox's.

    `city` is the code of a city pack. Without `engines` the settings name no database; the environment then must.

    Raises:
        SettingsInvalid: what was made would not start (an error here).
        CityPackInvalid: the city pack does not load.
    """
    folder = Path(os.path.abspath(var_dir)) / "keys"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    pack = load_city(city)
    ring = _Ring(folder / "keys.json")
    ours = _settings(ring, pack, ports, engines, folder.parent / "clock", environment)
    theirs = _sandbox(ring, pack, ports, folder.parent)
    ring.save()
    settings.check(ours)
    _write(folder / "settings.json", msgspec.json.format(msgspec.json.encode(ours)))
    _write(folder / "sandbox.json", json.dumps(theirs, ensure_ascii=False, indent=2).encode())
    return folder / "settings.json", folder / "sandbox.json"


class _Ring:
    """What was made once, by name. Nothing in it is ever changed or removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made: dict[str, dict[str, str]] = json.loads(path.read_bytes()) if path.exists() else {}

    def get(self, name: str, make: Callable[[], dict[str, str]]) -> dict[str, str]:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def text(self, name: str, make: Callable[[], str]) -> str:
        return self.get(name, lambda: {"value": make()})["value"]

    def signers(self, owner: str) -> list[dict[str, str]]:
        """Two Ed25519 key pairs, the number that may be live at once."""
        return [self.get(f"{owner}/{letter}", lambda letter=letter: _ed25519(owner, letter)) for letter in "ab"]

    def symmetric(self, purpose: str) -> dict[str, str]:
        return self.get(purpose, lambda: {"keyid": _keyid(purpose, "a"), "key": _random_32_bytes()})

    def save(self) -> None:
        _write(self._path, json.dumps(self._made, indent=2).encode())


def _settings(
    ring: _Ring, pack: City, ports: Ports, engines: Addresses, clock_file: Path, environment: settings.Environment
) -> Settings:
    public_url = f"http://127.0.0.1:{ports.api}"
    merchant, public_pair, platform = _merchant(ring), _public_pair(ring), _platform(ring)
    app = _app(ring, pack)
    alipay, alipay_merchants = keys_alipay.our_side(ring, pack, public_url)
    return Settings(
        environment=environment,
        city=pack.code,
        public_url=public_url,
        database_url=engines.database_url,
        database_owner_url=engines.database_url,
        redis_url=engines.redis_url,
        token_keys=[settings.Key(key["keyid"], key["private"]) for key in ring.signers("token")],
        field_keys=[settings.Key(**ring.symmetric("field"))],
        blind_index_key=ring.text("blind-index", _random_32_bytes),
        refresh_key=ring.text("refresh", _random_32_bytes),
        qr_keys=[settings.Key(**ring.symmetric("qr"))],
        gateway_keys=[settings.Key(key["keyid"], key["private"]) for key in ring.signers("lianban")],
        wechat=settings.WeChatApp(**app),
        official_account=settings.OfficialAccount(**_official_account(ring, pack)),
        sms=settings.Sms(**_sms(ring, pack)),
        wechat_pay=settings.WeChatPay(
            sp_appid=app["appid"],
            sp_mchid=_MCHID,
            serial=merchant["serial"],
            private_key=merchant["private"],
            api_v3_key=ring.text("api-v3", lambda: _random_text(32)),
            notify_url=f"{public_url}/callbacks/wechat-pay",
            refund_notify_url=f"{public_url}/callbacks/wechat-pay",
            public_key_id=public_pair["keyid"],
            public_key=public_pair["public"],
            platform_certificates=[platform["certificate"]],
        ),
        companies={
            company.code: settings.CompanyKeys(
                base_url=f"http://127.0.0.1:{ports.sandbox + 2}/{company.code}/v1",
                public_keys=[settings.Key(key["keyid"], key["public"]) for key in ring.signers(company.code)],
                sub_mchid=company.sub_mchid,
                alipay=alipay_merchants.get(company.code),
            )
            for company in pack.joined_companies()
        },
        construction_platform=settings.ConstructionPlatform(
            base_url=f"http://127.0.0.1:{ports.sandbox}/construction/v1",
            public_keys=[settings.Key(key["keyid"], key["public"]) for key in ring.signers("construction")],
        ),
        alipay=alipay,
        endpoints=settings.Endpoints(
            wechat=f"http://127.0.0.1:{ports.sandbox}",
            wechat_pages=f"http://127.0.0.1:{ports.sandbox}",
            wechat_pay=f"http://127.0.0.1:{ports.sandbox + 1}",
            alipay=f"http://127.0.0.1:{ports.sandbox + 3}",
            alipay_bills=f"http://127.0.0.1:{ports.sandbox + 3}",
            sms=f"http://127.0.0.1:{ports.sandbox}/tencent-sms",
        ),
        identity_sources={code: _identity_source(ring, code, ports) for code in _IDENTITY_SOURCES},
        return_urls=[f"{public_url}/h5/", f"{public_url}/h5/#/pages/login/index"],
        clock_file=str(clock_file),
        materials=settings.Materials(folder=str(clock_file.with_name("materials"))),
    )


def _sandbox(ring: _Ring, pack: City, ports: Ports, var_dir: Path) -> dict[str, Any]:
    """The file of docs/sandbox.md."""
    public_url = f"http://127.0.0.1:{ports.api}"
    app, merchant, public_pair, platform = _app(ring, pack), _merchant(ring), _public_pair(ring), _platform(ring)
    callbacks = f"{public_url}/callbacks/wechat"
    companies = pack.joined_companies()
    demo = {company.code: msgspec.to_builtins(company) for company in load_demo(pack).companies}
    return {
        "clock_file": str(var_dir / "clock"),
        "state_file": str(var_dir / "sandbox.sqlite3"),
        "wechat": {
            "apps": [
                _sandbox_app("mini_program", app, f"{callbacks}/mini-program", pack.templates),
                _sandbox_app(
                    "official_account",
                    _official_account(ring, pack),
                    f"{callbacks}/official-account",
                    pack.official_templates,
                )
                | {"web_host": f"127.0.0.1:{ports.api}"},
            ]
        },
        "wechat_pay": {
            "platform_private_key": platform["private"],
            "platform_certificate": platform["certificate"],
            "public_key_id": public_pair["keyid"],
            "public_key": public_pair["public"],
            "public_key_private": public_pair["private"],
            "answer_with": "public_key",
            "merchants": [
                {
                    "mchid": _MCHID,
                    "appids": [app["appid"]],
                    "api_v3_key": ring.text("api-v3", lambda: _random_text(32)),
                    "certificate": merchant["certificate"],
                    "serial": merchant["serial"],
                }
            ],
            "sub_merchants": [company.sub_mchid for company in companies if company.sub_mchid],
        },
        "alipay": keys_alipay.sandbox_side(ring, pack),
        "readers": {"platform_url": public_url},
        "sms": _sandbox_sms(_sms(ring, pack), pack),
        "unified_identity": _sandbox_identity(ring, pack, ports),
        "construction": {
            "callback_url": f"{public_url}/callbacks/construction-platform",
            "private_keys": [{"keyid": key["keyid"], "key": key["private"]} for key in ring.signers("construction")],
            "lianban_public_keys": [{"keyid": key["keyid"], "key": key["public"]} for key in ring.signers("lianban")],
        },
        "companies": [_sandbox_company(ring, company, public_url, demo.get(company.code, {})) for company in companies],
    }


def _identity_source(ring: _Ring, code: str, ports: Ports) -> settings.IdentitySource:
    protocol, _ = _IDENTITY_SOURCES[code]
    base, made = f"http://127.0.0.1:{ports.sandbox + 4}/{code}", _identity_keys(ring, code)
    return settings.IdentitySource(
        protocol=protocol,
        issuer=f"https://{code.replace('_', '-')}.sandbox",
        login_url=f"{base}/login",
        api_url=base,
        client_id=made["client_id"],
        secret=made["secret"],
        public_key=made["public"] if protocol == "code" else "",
    )


def _sandbox_identity(ring: _Ring, pack: City, ports: Ports) -> dict[str, Any]:
    doors: list[dict[str, str]] = []
    for code, (protocol, name) in _IDENTITY_SOURCES.items():
        ours, made = _identity_source(ring, code, ports), _identity_keys(ring, code)
        doors.append(
            {
                "code": code,
                "name": name,
                "protocol": protocol,
                "issuer": ours.issuer,
                "client_id": ours.client_id,
                "secret": ours.secret,
                "callback_url": f"http://127.0.0.1:{ports.api}/v1/sessions/unified/{code}/callback",
                "private_key": made["private"],
            }
        )
    return {"people": msgspec.to_builtins(load_demo(pack).people), "sources": doors}


def _identity_keys(ring: _Ring, code: str) -> dict[str, str]:
    def make() -> dict[str, str]:
        return {"client_id": f"lianban-{secrets.token_hex(4)}", "secret": _random_text(32), **_ed25519(code, "a")}

    return ring.get(f"identity/{code}", make)


def _sandbox_company(ring: _Ring, company: Company, public_url: str, demo: dict[str, Any]) -> dict[str, Any]:
    return {
        "code": company.code,
        "service": company.service,
        "callback_url": f"{public_url}/callbacks/companies/{company.code}",
        "platform_url": public_url,
        "private_keys": [{"keyid": key["keyid"], "key": key["private"]} for key in ring.signers(company.code)],
        "lianban_public_keys": [{"keyid": key["keyid"], "key": key["public"]} for key in ring.signers("lianban")],
        "proof_kind": company.proof.kind,
        "partial_payment": company.partial_payment,
        "quirks": demo.get("quirks", {}),
        "accounts": demo.get("accounts", []),
    }


def _sandbox_app(kind: str, app: dict[str, Any], push_url: str, templates: Mapping[str, Template]) -> dict[str, Any]:
    return {
        "appid": app["appid"],
        "secret": app["secret"],
        "kind": kind,
        "push": {"url": push_url, "token": app["push_token"], "encoding_aes_key": app["push_encoding_aes_key"]},
        "templates": [{"id": id_, "keys": list(templates[name].keys)} for name, id_ in app["templates"].items()],
    }


def _app(ring: _Ring, pack: City) -> dict[str, Any]:
    """The mini-program at WeChat, with one template id for each template of the pack."""
    return _wechat_app(ring, "wechat", pack.templates)


def _official_account(ring: _Ring, pack: City) -> dict[str, Any]:
    """The official account, with template ids of its own."""
    return _wechat_app(ring, "official-account", pack.official_templates)


def _wechat_app(ring: _Ring, name: str, templates: Iterable[str]) -> dict[str, Any]:
    return {
        "appid": ring.text(f"{name}/appid", lambda: f"wx{secrets.token_hex(8)}"),
        "secret": ring.text(f"{name}/secret", lambda: secrets.token_hex(16)),
        "push_token": ring.text(f"{name}/push-token", lambda: _random_text(32)),
        # What WeChat gives is the base64 of 32 bytes without its padding, letters and digits only.
        "push_encoding_aes_key": ring.text(f"{name}/push-aes", _encoding_aes_key),
        "templates": {
            template: ring.text(f"{name}/template/{template}", lambda: secrets.token_urlsafe(32))
            for template in templates
        },
    }


def _sms(ring: _Ring, pack: City) -> dict[str, Any]:
    """The account at the supplier of text messages, with one template id for each text of the pack."""
    return {
        "secret_id": ring.text("sms/secret-id", lambda: f"AKID{_random_text(32)}"),
        "secret_key": ring.text("sms/secret-key", lambda: _random_text(32)),
        "app_id": ring.text("sms/app-id", lambda: f"1400{secrets.randbelow(10**6):06}"),
        "sign_name": f"{pack.short_name}联办",
        "templates": {
            name: ring.text(f"sms/template/{name}", lambda: str(10**6 + secrets.randbelow(9 * 10**6)))
            for name in pack.sms_templates
        },
    }


def _sandbox_sms(account: dict[str, Any], pack: City) -> dict[str, Any]:
    templates = [{"id": id_, "text": pack.sms_templates[name].text} for name, id_ in account["templates"].items()]
    return {**account, "templates": templates}


def _merchant(ring: _Ring) -> dict[str, str]:
    return ring.get("wechat-pay/merchant", lambda: _certified("Tenpay.com Root CA", _MCHID))


def _platform(ring: _Ring) -> dict[str, str]:
    return ring.get("wechat-pay/platform", lambda: _certified("Tenpay.com Root CA", "Tenpay.com sign"))


def _public_pair(ring: _Ring) -> dict[str, str]:
    def make() -> dict[str, str]:
        keyid = "PUB_KEY_ID_0" + "".join(secrets.choice(string.digits) for _ in range(31))
        return {"keyid": keyid, **_rsa_pair(rsa.generate_private_key(65537, 2048))}

    return ring.get("wechat-pay/public", make)


def _certified(issuer: str, subject: str) -> dict[str, str]:
    """An RSA key and a certificate that it signs itself; the serial in upper-case hexadecimal, as WeChat Pay has it."""
    key = rsa.generate_private_key(65537, 2048)
    now = clock.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _CERTIFICATE_LIFE)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM).decode()
    return {"serial": f"{certificate.serial_number:040X}", "certificate": pem, **_rsa_pair(key)}


def _rsa_pair(key: rsa.RSAPrivateKey) -> dict[str, str]:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"private": private.decode(), "public": public.decode()}


def _ed25519(owner: str, letter: str) -> dict[str, str]:
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"keyid": _keyid(owner, letter), "private": private.decode(), "public": public.decode()}


def _keyid(owner: str, letter: str) -> str:
    return f"{owner}-{clock.today().year}{letter}"


def _random_32_bytes() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


def _encoding_aes_key() -> str:
    while True:
        key = _random_32_bytes().rstrip("=")
        if key.isalnum():
            return key


def _write(path: Path, content: bytes) -> None:
    """Replace the file whole, readable by us only from its first byte."""
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(fresh).replace(path)
