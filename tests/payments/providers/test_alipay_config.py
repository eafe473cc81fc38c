"""Who we are at Alipay: what is wrong is refused at start-up, in both modes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core import clock
from payments.providers.alipay.answers import fen, moment, yuan
from payments.providers.alipay.config import AlipayConfig, AlipayKeys, certificate_number, root_number
from tests.payments.providers.platform import private_pem, public_pem, rsa_key

SELLER, OTHER = "2088000000000101", "2088000000000102"
START = datetime(2026, 1, 1, tzinfo=UTC)


def certificate(name: str, *, days: int = 3650, by: Any = None, common_name: str = "R1") -> str:
    issuer = x509.Name(
        [x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ant Financial"),
         x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )  # fmt: skip
    key = by or rsa_key(name)
    builder = x509.CertificateBuilder().subject_name(issuer).issuer_name(issuer).serial_number(1234567890)
    builder = builder.public_key(key.public_key()).not_valid_before(START).not_valid_after(START + timedelta(days=days))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def key_mode(**more: Any) -> AlipayConfig:
    values: dict[str, Any] = {
        "app_id": "2021000000000001", "gateway": "https://openapi.alipay.com/gateway.do", "private_key": private_pem("app"),
        "tokens": {SELLER: "201611BBtoken"}, "public_key": public_pem("alipay"),
    }  # fmt: skip
    return AlipayConfig.load(**(values | more))


def certified(**more: Any) -> AlipayConfig:
    values = {"public_key": None, "certificate": certificate("app"), "certificates": [certificate("alipay")]}
    return key_mode(**(values | {"root_certificates": certificate("root")} | more))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"app_id": "wx0123"}, "app_id is a number"),
        ({"tokens": {"1900000101": "t"}}, "begins with 2088"),
        ({"service_provider": "1"}, "begins with 2088"),
        ({"tokens": {SELLER: "same", OTHER: "same"}}, "is one merchant's"),
        ({"tokens": {SELLER: ""}}, "up to 40 letters"),
        ({"tokens": {SELLER: None, OTHER: None}}, "only one merchant can be the application's owner"),
        ({"public_key": None}, "without a public key"),
        ({"certificate": certificate("app")}, "comes with"),
        ({"certificates": [certificate("alipay")]}, "either Alipay's public key or its certificates"),
    ],
)
def test_key_mode_refuses(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        key_mode(**change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"certificate": certificate("stranger")}, "not that of the private key"),
        ({"certificates": []}, "either Alipay's public key or its certificates"),
        ({"root_certificates": None}, "comes with"),
        ({"root_certificates": certificate("", by=ec.generate_private_key(ec.SECP256R1()))}, "no root certificate"),
    ],
)
def test_certificate_mode_refuses(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        certified(**change)


def test_numbers_are_made_of_issuer_and_decimal_serial() -> None:
    import hashlib

    found = certificate_number(x509.load_pem_x509_certificate(certificate("app").encode()))
    assert found == hashlib.md5(b"CN=R1,O=Ant Financial,C=CN1234567890").hexdigest()


def test_of_a_bundle_only_the_roots_signed_with_rsa_count_and_an_unreadable_one_is_passed_over() -> None:
    one, two = certificate("root"), certificate("root", common_name="R2")
    other = certificate("", by=ec.generate_private_key(ec.SECP256R1()))
    spoiled = one.replace("MII", "AAA", 1)
    numbers = [certificate_number(x509.load_pem_x509_certificate(pem.encode())) for pem in (one, two)]
    assert root_number(one + other + spoiled + two) == "_".join(numbers)


def test_a_certificate_counts_by_its_number_and_within_its_time() -> None:
    keys = AlipayKeys(certificates=[certificate("alipay", days=365)])
    number = certificate_number(x509.load_pem_x509_certificate(certificate("alipay").encode()))
    assert len(keys.find(number, START + timedelta(days=1))) == len(keys.find(None, START + timedelta(days=1))) == 1
    assert keys.find(number, START + timedelta(days=366)) == keys.find("0" * 32, START + timedelta(days=1)) == []


def test_in_key_mode_nothing_that_names_a_certificate_is_believed() -> None:
    keys = AlipayKeys(public_pem("alipay"))
    assert len(keys.find(None, START)) == 1
    assert keys.find("0" * 32, START) == []


def test_neither_key_nor_token_is_shown() -> None:
    assert "201611BBtoken" not in repr(key_mode())
    assert "PRIVATE" not in repr(key_mode())


@pytest.mark.parametrize(
    ("text", "expected"), [("0.01", 1), ("19.99", 1999), ("46.6", 4660), ("100000000", 10**10), ("0.00", 0)]
)
def test_yuan_become_fen_exactly(text: str, expected: int) -> None:
    assert fen(text) == expected
    assert fen(yuan(expected)) == expected


@pytest.mark.parametrize("text", ["", "1.999", "1e2", "-1", "+1", " 1", "1,00", "\uff11", "1.", "NaN", "1\n"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        fen(text)


def test_times_are_of_beijing() -> None:
    assert moment("2026-11-23 10:02:11.123") == datetime(2026, 11, 23, 10, 2, 11, tzinfo=clock.SHANGHAI)
    assert moment(None) is None
