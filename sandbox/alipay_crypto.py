"""The cryptography of Alipay's open platform: RSA2 over sorted parameters, and the numbers of certificates."""

import base64
import binascii
import contextlib
import functools
import hashlib
import re
from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509.oid import NameOID

_SHORT_NAMES: Final = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.COUNTRY_NAME: "C",
}
_WITH_RSA: Final = "1.2.840.113549.1.1."
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@functools.cache
def stranger() -> rsa.RSAPrivateKey:
    """A key nobody knows, for signatures that must be refused."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def load_private_key(pem: str) -> rsa.RSAPrivateKey:
    """Raises ValueError when it is not an RSA key."""
    key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("Alipay uses RSA keys")
    return key


def load_public_key(pem: str) -> rsa.RSAPublicKey:
    """Raises ValueError when it is not an RSA key."""
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("Alipay uses RSA keys")
    return key


def load_certificate(pem: str) -> tuple[x509.Certificate, rsa.RSAPublicKey]:
    """A certificate and its key. Raises ValueError."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("Alipay uses RSA keys")
    return certificate, key


def certificate_number(certificate: x509.Certificate) -> str:
    """MD5 of the issuer, most particular part first, and the decimal serial number."""
    parts = [f"{_SHORT_NAMES[part.oid]}={part.value}" for rdn in reversed(certificate.issuer.rdns) for part in rdn]
    text = ",".join(parts) + str(certificate.serial_number)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def root_number(bundle: str) -> str:
    """The numbers of those roots that are signed with RSA, joined by underscores."""
    numbers: list[str] = []
    for pem in _PEM.findall(bundle):
        with contextlib.suppress(ValueError):  # the real bundle holds a root of a kind that is not even read here
            certificate = x509.load_pem_x509_certificate(pem.encode())
            if certificate.signature_algorithm_oid.dotted_string.startswith(_WITH_RSA):
                numbers.append(certificate_number(certificate))
    return "_".join(numbers)


def joined(parameters: Mapping[str, str], *left_out: str) -> bytes:
    """The text that is signed: every parameter that is not empty, sorted by name, as ``k=v&k=v``."""
    pairs = sorted((name, value) for name, value in parameters.items() if value != "" and name not in left_out)
    return "&".join(f"{name}={value}" for name, value in pairs).encode()


def sign(key: rsa.RSAPrivateKey, message: bytes) -> str:
    """SHA256withRSA, base64."""
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), SHA256())).decode("ascii")


def verify(key: rsa.RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether `signature` (base64) belongs to `message`."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
