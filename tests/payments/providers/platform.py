"""WeChat Pay of the tests: its own keys, its own reading of the protocol, sharing no code with ours."""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

from core import clock
from core.outbound import Counterpart
from payments.providers.wechat_pay.client import WeChatPay
from payments.providers.wechat_pay.config import WeChatPayConfig

SP_APPID, SP_MCHID, SUB_MCHID = "wx0123456789abcdef", "1900000001", "1900000101"
MERCHANT_SERIAL = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000000012026112300000001"
API_V3_KEY = "0123456789abcdefghijklmnopqrstuv"


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """One key per name and test run: making them is slow."""
    return rsa.generate_private_key(65537, 2048)


def private_pem(name: str) -> str:
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return rsa_key(name).private_bytes(serialization.Encoding.PEM, pkcs8, plain).decode()


def public_pem(name: str) -> str:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return rsa_key(name).public_key().public_bytes(serialization.Encoding.PEM, spki).decode()


def certificate_pem(name: str, serial: str, *, days: int = 36_500) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com Root CA")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).serial_number(int(serial, 16))
    builder = builder.public_key(rsa_key(name).public_key()).not_valid_before(start)
    built = builder.not_valid_after(start + timedelta(days=days)).sign(rsa_key(name), hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM).decode()


CERTIFICATE_SERIAL = "7132D72A03E93CDDF8C03BBD1F37EEDF0A000001"


def make_config(**more: Any) -> WeChatPayConfig:
    """Both kinds of platform keys live, as during a switch."""
    values: dict[str, Any] = {
        "sp_appid": SP_APPID,
        "sp_mchid": SP_MCHID,
        "serial": MERCHANT_SERIAL,
        "private_key": private_pem("merchant"),
        "api_v3_key": API_V3_KEY,
        "public_key_id": PUBLIC_KEY_ID,
        "public_key": public_pem("public-key"),
        "platform_certificates": [certificate_pem("certificate", CERTIFICATE_SERIAL)],
    }
    return WeChatPayConfig.load(**(values | more))


def signed_headers(
    body: bytes, *, key: str = "public-key", serial: str = PUBLIC_KEY_ID, at: datetime | None = None
) -> dict[str, str]:
    timestamp, nonce = str(int((at or clock.now()).timestamp())), secrets.token_hex(16)
    message = b"\n".join([timestamp.encode(), nonce.encode(), body, b""])
    signature = rsa_key(key).sign(message, padding.PKCS1v15(), hashes.SHA256())
    return {
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature": base64.b64encode(signature).decode(),
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }


def sealed(plaintext: bytes, aad: str, key: str = API_V3_KEY, nonce_bytes: int = 12) -> dict[str, str]:
    nonce = secrets.token_hex(nonce_bytes // 2)
    ciphertext = AESGCM(key.encode()).encrypt(nonce.encode(), plaintext, aad.encode())
    text = base64.b64encode(ciphertext).decode()
    return {"algorithm": "AEAD_AES_256_GCM", "ciphertext": text, "nonce": nonce, "associated_data": aad}


def trade(**more: Any) -> dict[str, Any]:
    return {
        "sp_appid": SP_APPID,
        "sp_mchid": SP_MCHID,
        "sub_mchid": SUB_MCHID,
        "out_trade_no": "LB20261123000001",
        "transaction_id": "4200002026112300000000000001",
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "success_time": "2026-11-23T10:02:11+08:00",
        "payer": {"sp_openid": "oPayer", "sub_openid": ""},
        "amount": {"total": 4660, "payer_total": 4600, "currency": "CNY", "payer_currency": "CNY"},
    } | more


def refund(**more: Any) -> dict[str, Any]:
    return {
        "refund_id": "50000000382019052709732678859",
        "out_refund_no": "LBR20261123000001",
        "transaction_id": "4200002026112300000000000001",
        "out_trade_no": "LB20261123000001",
        "channel": "ORIGINAL",
        "user_received_account": "招商银行信用卡0403",
        "create_time": "2026-11-23T11:00:00+08:00",
        "status": "PROCESSING",
        "amount": {"total": 4660, "refund": 1000, "payer_total": 4600, "payer_refund": 990, "currency": "CNY"},
    } | more


def notice(
    plain: dict[str, Any], event_type: str = "TRANSACTION.SUCCESS", kind: str = "transaction", **more: Any
) -> bytes:
    value = {
        "id": "EV-2018022511223320873",
        "create_time": "2026-11-23T10:02:12+08:00",
        "resource_type": "encrypt-resource",
        "event_type": event_type,
        "summary": "支付成功",
        "resource": sealed(json.dumps(plain, ensure_ascii=False).encode(), kind) | {"original_type": kind},
    }
    return json.dumps(value | more, ensure_ascii=False).encode()


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    signed: dict[str, Any] | None = field(default_factory=dict)
    """Arguments of :func:`signed_headers`; ``None`` leaves the answer unsigned."""


def json_reply(status: int, value: Any, signed: dict[str, Any] | None = None, *, unsigned: bool = False) -> Reply:
    return Reply(status, json.dumps(value, ensure_ascii=False).encode(), None if unsigned else signed or {})


class FakeWeChatPay:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.headers: list[httpx.Headers] = []
        self.answer: Callable[[], Reply] = lambda: Reply(500, signed=None)

    def provider(self, config: WeChatPayConfig | None = None) -> WeChatPay:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._serve))
        counterpart = Counterpart("wechat_pay", "https://api.mch.weixin.qq.com", client=client)
        return WeChatPay(config or make_config(), counterpart)

    def replies(self, reply: Reply) -> None:
        self.answer = lambda: reply

    def _serve(self, request: httpx.Request) -> httpx.Response:
        self._check(request)
        target = request.url.raw_path.decode()
        self.calls.append((request.method, target, json.loads(request.content) if request.content else None))
        self.headers.append(request.headers)
        reply = self.answer()
        headers = signed_headers(reply.body, **reply.signed) if reply.signed is not None else {}
        return httpx.Response(reply.status, headers={"Request-ID": "08A-1", **headers}, content=reply.body)

    def _check(self, request: httpx.Request) -> None:
        """The Authorization header as the platform reads it."""
        scheme, _, rest = request.headers["authorization"].partition(" ")
        assert scheme == "WECHATPAY2-SHA256-RSA2048"
        values = dict(part.split("=", 1) for part in rest.split(","))
        stated = {name: value.strip('"') for name, value in values.items()}
        assert (stated["mchid"], stated["serial_no"]) == (SP_MCHID, MERCHANT_SERIAL)
        assert abs(int(stated["timestamp"]) - clock.timestamp()) < 5
        lines = [request.method, request.url.raw_path.decode(), stated["timestamp"], stated["nonce_str"]]
        message = "\n".join(lines).encode() + b"\n" + request.content + b"\n"
        public = rsa_key("merchant").public_key()
        public.verify(base64.b64decode(stated["signature"]), message, padding.PKCS1v15(), hashes.SHA256())
        assert request.headers["accept"] == "application/json"
        assert request.headers["content-type"] == "application/json"
