"""Alipay's part of the keys for development: our application in certificate mode, each company a merchant that has authorised it.

The sandbox also knows the same application in key mode, under a number of its own, so that both modes can be tried.
"""

import secrets
import string
from datetime import timedelta
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from cities.schema import City
from core import clock, settings

_LIFE = timedelta(days=5 * 365)
SERVICE_PROVIDER = "2088000000000001"
"""The city's own number at Alipay, invented."""


class Ring(Protocol):
    """What was made once, by name."""

    def get(self, name: str, make: Any) -> dict[str, str]: ...

    def text(self, name: str, make: Any) -> str: ...


def our_side(ring: Ring, pack: City, public_url: str) -> tuple[settings.Alipay, dict[str, settings.AlipayMerchant]]:
    """The settings of the application, and of each joined company that is a merchant at Alipay."""
    made = _certificates(ring)
    application = settings.Alipay(
        app_id=_number(ring, "app-id"),
        private_key=made["app_private"],
        notify_url=f"{public_url}/callbacks/alipay",
        certificate=made["app_certificate"],
        alipay_certificates=[made["platform_certificate"]],
        root_certificates=made["roots"],
        service_provider=SERVICE_PROVIDER,
    )
    merchants = {
        company.code: settings.AlipayMerchant(app_auth_token=_token(ring, company.code))
        for company in pack.joined_companies()
        if company.alipay_seller_id
    }
    return application, merchants


def sandbox_side(ring: Ring, pack: City) -> dict[str, Any]:
    """The ``alipay`` member of docs/sandbox.md."""
    made = _certificates(ring)
    sellers = [
        {
            "seller_id": company.alipay_seller_id,
            "auth_app_id": f"{_number(ring, 'app-id')[:8]}{company.alipay_seller_id[-8:]}",
            "app_auth_token": _token(ring, company.code),
        }
        for company in pack.joined_companies()
        if company.alipay_seller_id
    ]
    return {
        "platform": {
            "private_key": made["platform_private"],
            "certificate": made["platform_certificate"],
            "root_certificates": made["roots"],
        },
        "apps": [
            {"app_id": _number(ring, "app-id"), "certificate": made["app_certificate"], "sellers": sellers},
            {"app_id": _number(ring, "app-id-key-mode"), "public_key": made["app_public"], "sellers": sellers},
        ],
    }


def _number(ring: Ring, name: str) -> str:
    return ring.text(f"alipay/{name}", lambda: "2021" + "".join(secrets.choice(string.digits) for _ in range(12)))


def _token(ring: Ring, company: str) -> str:
    return ring.text(f"alipay/token/{company}", lambda: f"202611BB{secrets.token_hex(16)}")


def _certificates(ring: Ring) -> dict[str, str]:
    """Two roots (the second not RSA, as in the bundle that Alipay hands out), Alipay's certificate and ours."""

    def make() -> dict[str, str]:
        root, platform, app = (rsa.generate_private_key(65537, 2048) for _ in range(3))
        rooted = _name("Ant Financial Certification Authority R1")
        roots = [_certified(rooted, rooted, root, root)]
        other, other_name = ec.generate_private_key(ec.SECP256R1()), _name("Ant Financial Certification Authority E1")
        roots.append(_certified(other_name, other_name, other, other))
        ours = _name(f"{SERVICE_PROVIDER}-lianban")
        return {
            "roots": "".join(roots),
            "platform_private": _private(platform),
            "platform_certificate": _certified(_name("支付宝(中国)网络技术有限公司"), rooted, platform, root),
            "app_private": _private(app),
            "app_public": app.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "app_certificate": _certified(ours, rooted, app, root),
        }

    return ring.get("alipay/certificates", make)


def _name(common_name: str) -> x509.Name:
    parts = (
        (NameOID.COUNTRY_NAME, "CN"),
        (NameOID.ORGANIZATION_NAME, "Ant Financial"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Certification Authority"),
        (NameOID.COMMON_NAME, common_name),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _certified(subject: x509.Name, issuer: x509.Name, key: Any, by: Any) -> str:
    now = clock.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIFE)
        .sign(by, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def _private(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
