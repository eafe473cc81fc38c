"""The cryptography of WeChat Pay API v3: WECHATPAY2-SHA256-RSA2048 signatures and AEAD_AES_256_GCM."""

import base64
import binascii
import functools
import re
import secrets
import string
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import Certificate, load_pem_x509_certificate

SCHEME = "WECHATPAY2-SHA256-RSA2048"
_ALPHABET = string.ascii_letters + string.digits
_FIELD = re.compile(r'\s*([a-z_]+)="([^"]*)"\s*')


class AuthorizationInvalid(ValueError):
    """The Authorization header is not of the form of the scheme."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """The parts of an Authorization header."""

    mchid: str
    nonce_str: str
    signature: str
    timestamp: str
    serial_no: str

    @classmethod
    def read(cls, header: str) -> "Authorization":
        """Raises AuthorizationInvalid."""
        scheme, _, rest = header.partition(" ")
        if scheme != SCHEME:
            raise AuthorizationInvalid("Authorization 认证类型不正确")
        found: dict[str, str] = {}
        for part in rest.split(","):
            match = _FIELD.fullmatch(part)
            if match is None or match[1] in found:
                raise AuthorizationInvalid("Authorization 格式不正确")
            found[match[1]] = match[2]
        if found.keys() != {"mchid", "nonce_str", "signature", "timestamp", "serial_no"}:
            raise AuthorizationInvalid("Authorization 缺少字段或字段多余")
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key with the name under which its signatures are announced."""

    serial: str
    key: rsa.RSAPrivateKey

    def sign(self, message: bytes) -> str:
        return base64.b64encode(self.key.sign(message, padding.PKCS1v15(), SHA256())).decode("ascii")


@functools.cache
def stranger() -> rsa.RSAPrivateKey:
    """A key nobody knows, for signatures that must be refused."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def load_private_key(pem: str) -> rsa.RSAPrivateKey:
    """Raises ValueError when it is not an RSA key."""
    # The checks of a private key take longer than the whole start; a wrong one shows itself against its public half.
    key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("WeChat Pay uses RSA keys")
    return key


def load_public_key(pem: str) -> rsa.RSAPublicKey:
    """Raises ValueError when it is not an RSA key."""
    return _rsa(load_pem_public_key(pem.encode()))


def load_certificate(pem: str) -> Certificate:
    """Raises ValueError."""
    return load_pem_x509_certificate(pem.encode())


def public_key_of(certificate: Certificate) -> rsa.RSAPublicKey:
    """Raises ValueError when it is not an RSA key."""
    return _rsa(certificate.public_key())


def serial_of(certificate: Certificate) -> str:
    """The serial number as WeChat Pay prints it: upper-case hex, whole bytes."""
    digits = f"{certificate.serial_number:X}"
    return digits.zfill(len(digits) + len(digits) % 2)


def verify(key: rsa.RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether `signature` (base64) belongs to `message`."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, padding.PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def signed_headers(
    signer: Signer, timestamp: int, body: bytes, *, forge: bool = False, signtest: bool = False
) -> dict[str, str]:
    """The headers under which an answer or a notice leaves.

    `forge` signs with a stranger's key under the right serial; `signtest` is the platform's own deliberately bad one.
    """
    nonce = token(32)
    message = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
    signature = Signer(signer.serial, stranger()).sign(message) if forge else signer.sign(message)
    if signtest:
        signature = "WECHATPAY/SIGNTEST/" + base64.b64encode(secrets.token_bytes(237)).decode("ascii")
    return {
        "Wechatpay-Timestamp": str(timestamp),
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": signature,
        "Wechatpay-Serial": signer.serial,
        "Wechatpay-Signature-Type": SCHEME,
    }


def encrypt(api_v3_key: str, plaintext: bytes, associated_data: str) -> dict[str, str]:
    """AEAD_AES_256_GCM as it stands in notices and in /v3/certificates."""
    nonce = token(12)
    sealed = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), plaintext, associated_data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "nonce": nonce,
        "associated_data": associated_data,
        "ciphertext": base64.b64encode(sealed).decode("ascii"),
    }


def token(length: int) -> str:
    """Random letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _rsa(key: object) -> rsa.RSAPublicKey:
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("WeChat Pay uses RSA keys")
    return key
