"""Who we are at Alipay, whose signatures we believe, and in whose name we may act. Keys are parsed once, at start-up.

An application signs in one of two modes. In key mode both sides hold the other's bare public key. In certificate mode each call names
our certificate and Alipay's roots by number, and each answer names the certificate that signed it; during a change of Alipay's
certificate several are believed.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

_APP_ID = re.compile(r"[0-9]{10,32}")
_SELLER_ID = re.compile(r"2088[0-9]{12}")
_TOKEN = re.compile(r"[0-9A-Za-z]{1,40}")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_RSA_SIGNATURES = "1.2.840.113549.1.1."
_MIN_BITS = 2048


@dataclass(frozen=True, slots=True)
class _Believed:
    key: RSAPublicKey
    not_before: datetime | None = None
    not_after: datetime | None = None


class AlipayKeys:
    """The keys whose signatures count: one without a number (key mode), or one or more certificates by number."""

    def __init__(self, public_key: str | None = None, certificates: Iterable[str] = ()) -> None:
        """PEM texts.

        Raises:
            ValueError: none is given, both kinds are, or one is no RSA key of at least 2048 bits.
        """
        self._key = _Believed(_rsa(load_pem_public_key(public_key.encode()))) if public_key else None
        self._by_number: dict[str, _Believed] = {}
        for pem in certificates:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            self._by_number[certificate_number(certificate)] = _Believed(
                _rsa(certificate.public_key()), certificate.not_valid_before_utc, certificate.not_valid_after_utc
            )
        if (self._key is None) == (not self._by_number):
            raise ValueError("alipay: either Alipay's public key or its certificates")

    def find(self, number: str | None, now: datetime) -> list[RSAPublicKey]:
        """The keys that may have signed what names this certificate, or names none. Never asks anybody for an unknown one."""
        if self._key is not None:
            return [self._key.key] if number is None else []
        named = self._by_number.values() if number is None else filter(None, (self._by_number.get(number),))
        return [one.key for one in named if one.not_before and one.not_after and one.not_before <= now <= one.not_after]


@dataclass(frozen=True, slots=True)
class AlipayConfig:
    """One application. Built by :meth:`load`.

    `tokens`: a merchant's number → the token by which it has authorised this application, None for the application's owner.
    """

    app_id: str
    gateway: str
    private_key: RSAPrivateKey = field(repr=False)
    keys: AlipayKeys = field(repr=False)
    tokens: Mapping[str, str | None] = field(repr=False)
    certificate_number: str | None = None
    root_number: str | None = None
    service_provider: str | None = None

    @classmethod
    def load(
        cls,
        *,
        app_id: str,
        gateway: str,
        private_key: str,
        tokens: Mapping[str, str | None],
        public_key: str | None = None,
        certificate: str | None = None,
        certificates: Iterable[str] = (),
        root_certificates: str | None = None,
        service_provider: str | None = None,
    ) -> "AlipayConfig":
        """Parse PEM texts. `public_key` and `certificates` are Alipay's, `certificate` is ours.

        Raises:
            ValueError: names what is wrong, never its value.
        """
        if not _APP_ID.fullmatch(app_id):
            raise ValueError("alipay: app_id is a number")
        if not all(_SELLER_ID.fullmatch(seller) for seller in (*tokens, *filter(None, (service_provider,)))):
            raise ValueError("alipay: a merchant's number has 16 digits and begins with 2088")
        stated = [token for token in tokens.values() if token is not None]
        if len(set(stated)) != len(stated) or not all(_TOKEN.fullmatch(token) for token in stated):
            raise ValueError("alipay: an app_auth_token has up to 40 letters and digits and is one merchant's")
        if len(tokens) - len(stated) > 1:
            raise ValueError(
                "alipay: only one merchant can be the application's owner; the others need an app_auth_token"
            )
        if (certificate is None) != (root_certificates is None) or (certificate is None) != (public_key is not None):
            raise ValueError(
                "alipay: our certificate comes with Alipay's certificates and roots, and without a public key"
            )
        key = load_pem_private_key(private_key.encode(), password=None)
        if not isinstance(key, RSAPrivateKey) or key.key_size < _MIN_BITS:
            raise ValueError("alipay: the private key is RSA of at least 2048 bits")
        own = x509.load_pem_x509_certificate(certificate.encode()) if certificate else None
        if own is not None and _rsa(own.public_key()).public_numbers() != key.public_key().public_numbers():
            raise ValueError("alipay: the certificate is not that of the private key")
        return cls(
            app_id,
            gateway,
            key,
            AlipayKeys(public_key, certificates),
            dict(tokens),
            certificate_number(own) if own else None,
            root_number(root_certificates) if root_certificates else None,
            service_provider,
        )


def certificate_number(certificate: x509.Certificate) -> str:
    """What Alipay calls a certificate's ``cert_sn``: MD5 of the issuer (RFC 4514, most particular part first) and the decimal serial."""
    text = certificate.issuer.rfc4514_string() + str(certificate.serial_number)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def root_number(bundle: str) -> str:
    """``alipay_root_cert_sn``: the numbers of the bundle's roots that are signed with RSA, joined by underscores.

    The bundle Alipay hands out also holds a root of another kind, which this library may not read at all.

    Raises:
        ValueError: none is signed with RSA.
    """
    numbers: list[str] = []
    for pem in _PEM.findall(bundle):
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            if certificate.signature_algorithm_oid.dotted_string.startswith(_RSA_SIGNATURES):
                numbers.append(certificate_number(certificate))
        except ValueError:
            continue
    if not numbers:
        raise ValueError("alipay: no root certificate that is signed with RSA")
    return "_".join(numbers)


def _rsa(key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey) or key.key_size < _MIN_BITS:
        raise ValueError("alipay: a public key is RSA of at least 2048 bits")
    return key
