"""Who takes part in WeChat Pay here: the platform with its keys, the service providers, their sub-merchants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox import wechat_pay_crypto as crypto
from sandbox.wechat_pay_crypto import Signer
from sandbox.wechat_pay_errors import WechatPayError


@dataclass(frozen=True, slots=True)
class Merchant:
    """A service provider: its number, the apps bound to it, its APIv3 key and its API certificate."""

    mchid: str
    appids: frozenset[str]
    api_v3_key: str
    serial: str
    key: rsa.RSAPublicKey

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "Merchant":
        certificate = crypto.load_certificate(config["certificate"])
        serial = str(config["serial"])
        if int(serial, 16) != certificate.serial_number:
            raise ValueError(f"merchant {config['mchid']}: the serial is not that of the certificate")
        if len(config["api_v3_key"].encode()) != 32:
            raise ValueError(f"merchant {config['mchid']}: an APIv3 key has 32 bytes")
        key = crypto.public_key_of(certificate)
        return cls(config["mchid"], frozenset(config["appids"]), config["api_v3_key"], serial, key)


class Parties:
    """Reads the ``wechat_pay`` part of the configuration. Raises ValueError or KeyError when it is wrong.

    An item of ``sub_merchants`` is a number, or ``{"mchid": …, "appids": [sub_appid …]}`` for one with apps of its own.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.merchants = {merchant["mchid"]: Merchant.read(merchant) for merchant in config["merchants"]}
        self._sub_appids: dict[str, frozenset[str]] = {}
        for item in config["sub_merchants"]:
            entry = {"mchid": item} if isinstance(item, str) else item
            self._sub_appids[entry["mchid"]] = frozenset(entry.get("appids", ()))
        self._by_certificate: Signer | None = None
        self.platform_certificate: x509.Certificate | None = None
        if config.get("platform_certificate"):
            self.platform_certificate = crypto.load_certificate(config["platform_certificate"])
            key = crypto.load_private_key(config["platform_private_key"])
            _same(key, crypto.public_key_of(self.platform_certificate), "platform_certificate")
            self._by_certificate = Signer(crypto.serial_of(self.platform_certificate), key)
        self._by_public_key: Signer | None = None
        if config.get("public_key_id"):
            key = crypto.load_private_key(config["public_key_private"])
            _same(key, crypto.load_public_key(config["public_key"]), "public_key")
            self._by_public_key = Signer(config["public_key_id"], key)
        chosen = {"public_key": self._by_public_key, "certificate": self._by_certificate}[config["answer_with"]]
        if chosen is None:
            raise ValueError(f"answer_with {config['answer_with']}: its keys are missing")
        self.signer: Signer = chosen

    def signer_for(self, wanted_serial: str | None) -> Signer:
        """The key asked for by the request header Wechatpay-Serial; without one, that of ``answer_with``."""
        for signer in (self._by_public_key, self._by_certificate):
            if signer is not None and wanted_serial and signer.serial.lstrip("0") == wanted_serial.lstrip("0"):
                return signer
        return self.signer

    def certificate_signer(self) -> Signer:
        """The key of the platform certificate. Raises WechatPayError when the platform has none."""
        if self._by_certificate is None:
            raise WechatPayError("RESOURCE_NOT_EXISTS", "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥")
        return self._by_certificate

    def check_sub_merchant(self, sub_mchid: str, sub_appid: str | None) -> None:
        """Raises WechatPayError when the sub-merchant does not exist or the app is not bound to it."""
        if sub_mchid not in self._sub_appids:
            raise WechatPayError("MCH_NOT_EXISTS", "商户号不存在", "sub_mchid")
        if sub_appid is not None and sub_appid not in self._sub_appids[sub_mchid]:
            raise WechatPayError("APPID_MCHID_NOT_MATCH", "sub_appid 和 sub_mchid 不匹配", "sub_appid")


def _same(private: rsa.RSAPrivateKey, public: rsa.RSAPublicKey, name: str) -> None:
    if private.public_key().public_numbers() != public.public_numbers():
        raise ValueError(f"{name} does not belong to its private key")
