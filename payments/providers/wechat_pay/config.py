"""Who we are at WeChat Pay, and whose signatures we believe. Keys are parsed once, at start-up."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

_SERIAL = re.compile(r"[0-9A-Fa-f]{1,40}")
_PUBLIC_KEY_ID = re.compile(r"PUB_KEY_ID_[0-9A-Za-z]{1,64}")
_MIN_BITS = 2048


@dataclass(frozen=True, slots=True)
class _Certificate:
    key: RSAPublicKey
    not_before: datetime
    not_after: datetime


class PlatformKeys:
    """The platform's public key and its certificates: both live, since a switch between them takes about a week."""

    def __init__(self, public_key_id: str | None, public_key: str | None, certificates: Iterable[str] = ()) -> None:
        """PEM texts.

        Raises:
            ValueError: a text is no RSA key of at least 2048 bits, or there is none at all.
        """
        if (public_key_id is None) != (public_key is None):
            raise ValueError("wechat_pay: a public key and its id come together")
        if public_key_id is not None and not _PUBLIC_KEY_ID.fullmatch(public_key_id):
            raise ValueError("wechat_pay: a public key id begins with PUB_KEY_ID_")
        self.public_key_id = public_key_id
        self._public_key = _rsa(load_pem_public_key(public_key.encode())) if public_key else None
        self._certificates: dict[int, _Certificate] = {}
        self.learn(certificates)
        if self._public_key is None and not self._certificates:
            raise ValueError("wechat_pay: neither a public key nor a certificate of the platform")

    def learn(self, certificates: Iterable[str]) -> None:
        """Add certificates (PEM) that a refresh has brought; those known stay until they expire."""
        learned: dict[int, _Certificate] = {}
        for pem in certificates:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            learned[certificate.serial_number] = _Certificate(
                _rsa(certificate.public_key()), certificate.not_valid_before_utc, certificate.not_valid_after_utc
            )
        self._certificates.update(learned)

    def find(self, serial: str, now: datetime) -> RSAPublicKey | None:
        """The key a ``Wechatpay-Serial`` names, ``None`` when it is unknown or not valid now. Never asks anybody."""
        if self.public_key_id is not None and serial == self.public_key_id:
            return self._public_key
        if not _SERIAL.fullmatch(serial):
            return None
        certificate = self._certificates.get(int(serial, 16))
        if certificate is None or not certificate.not_before <= now <= certificate.not_after:
            return None
        return certificate.key


@dataclass(frozen=True, slots=True)
class WeChatPayConfig:
    """The city's service-provider number. Built by :meth:`load`."""

    sp_appid: str
    sp_mchid: str
    serial: str
    private_key: RSAPrivateKey = field(repr=False)
    api_v3_key: bytes = field(repr=False)
    platform: PlatformKeys = field(repr=False)

    @classmethod
    def load(
        cls,
        *,
        sp_appid: str,
        sp_mchid: str,
        serial: str,
        private_key: str,
        api_v3_key: str,
        public_key_id: str | None = None,
        public_key: str | None = None,
        platform_certificates: Iterable[str] = (),
    ) -> "WeChatPayConfig":
        """Parse PEM texts and keys.

        Raises:
            ValueError: names what is wrong, never its value.
        """
        if not _SERIAL.fullmatch(serial):
            raise ValueError("wechat_pay: serial is the hexadecimal number of the merchant certificate")
        if len(api_v3_key.encode()) != 32:
            raise ValueError("wechat_pay: the APIv3 key has 32 bytes")
        key = load_pem_private_key(private_key.encode(), password=None)
        if not isinstance(key, RSAPrivateKey) or key.key_size < _MIN_BITS:
            raise ValueError("wechat_pay: the private key is RSA of at least 2048 bits")
        platform = PlatformKeys(public_key_id, public_key, platform_certificates)
        return cls(sp_appid, sp_mchid, serial.upper(), key, api_v3_key.encode(), platform)


def _rsa(key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey) or key.key_size < _MIN_BITS:
        raise ValueError("wechat_pay: a key of the platform is RSA of at least 2048 bits")
    return key
