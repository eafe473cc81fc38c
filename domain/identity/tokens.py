"""Access tokens: EdDSA, ``typ`` at+jwt (RFC 9068), 10 minutes, bound to a session; refresh tokens derived, never stored."""

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from jwt.utils import base64url_decode

from core import clock, strict_json
from core.errors import LianbanError
from models.access import Principal
from models.acting import AtCounter
from models.lifecycle import Actor

LIFE = timedelta(minutes=10)
_CACHE_SIZE = 20_000
_MAX_TOKEN_CHARS = 2_000


class TokenRefused(LianbanError):
    """Missing, malformed, expired, forged, for another audience, or of an ended session: log in or refresh."""

    code = "token_refused"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: a person through a login identity and a session, at an assurance level (1 WeChat, 2 phone, 3 real name)."""

    person_id: UUID
    user_id: UUID
    session_id: UUID
    level: int
    proved_at: float
    """When this session last proved who it is, seconds since the epoch."""
    organization_id: UUID | None = None
    """For whom he acts in this call; None: for himself. Whether he may is asked at each use."""

    counter: AtCounter | None = None
    """The clerk who acts for him in this call, if it is one."""

    @property
    def actor(self) -> Actor:
        """Who acts, for journals: himself, or the clerk at the counter."""
        return self.counter.clerk if self.counter else Actor("person", str(self.person_id))

    @property
    def principal(self) -> Principal:
        """Whose objects the call is about."""
        return Principal(self.person_id, self.organization_id)


class TokenKeys:
    """The platform's token keys: the first signs, all verify."""

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        """`keys`: (key id, PEM of an Ed25519 private key)."""
        self._private: dict[str, Ed25519PrivateKey] = {}
        for keyid, pem in keys:
            key = load_pem_private_key(pem.encode(), None)
            if not isinstance(key, Ed25519PrivateKey):
                raise ValueError(f"{keyid}: not an Ed25519 key")
            self._private[keyid] = key
        self.signing_keyid = keys[0][0]
        self._public = {keyid: key.public_key() for keyid, key in self._private.items()}

    def sign(self, claims: dict[str, Any]) -> str:
        """A signed token."""
        return jwt.encode(
            claims, self._private[self.signing_keyid], "EdDSA", {"typ": "at+jwt", "kid": self.signing_keyid}
        )

    def verify(self, token: str, audience: str, issuer: str) -> dict[str, Any]:
        """The claims of a token whose signature, type, audience, issuer and form are right. Times are the caller's to check.

        Raises:
            TokenRefused: anything is wrong with it.
        """
        try:
            header = _parsed(token)
            key = self._public.get(header.get("kid", ""))
            if header.get("typ") != "at+jwt" or header.get("alg") != "EdDSA" or key is None or len(header) != 3:
                raise TokenRefused("header")
            return jwt.decode(
                token, key, ["EdDSA"], audience=audience, issuer=issuer,
                options={"require": ["exp", "iat", "sub", "sid", "jti"], "verify_exp": False, "verify_iat": False, "verify_nbf": False, "strict_aud": True},
            )  # fmt: skip
        except (jwt.PyJWTError, ValueError, TypeError, UnicodeError, RecursionError) as error:
            raise TokenRefused(type(error).__name__) from None

    def published(self) -> dict[str, Any]:
        """The JWK set (RFC 7517, RFC 8037)."""
        return {
            "keys": [
                _jwk(keyid, key.public_bytes(Encoding.Raw, PublicFormat.Raw)) for keyid, key in self._public.items()
            ]
        }


class AccessTokens:
    """Issues and checks access tokens of one audience; remembers verified ones, since EdDSA costs 150 times a look-up."""

    def __init__(self, keys: TokenKeys, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._verified: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._ended: set[UUID] = set()

    def issue(self, caller: Caller, token_id: str) -> tuple[str, int]:
        """A token and its life in seconds."""
        now = int(clock.timestamp())
        life_s = int(LIFE.total_seconds())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(caller.person_id),
            "uid": str(caller.user_id),
            "sid": str(caller.session_id),
            "lvl": caller.level,
            "auth_time": int(caller.proved_at),
            "iat": now,
            "exp": now + life_s,
            "jti": token_id,
        }
        return self._keys.sign(claims), life_s

    def check(self, token: str) -> Caller:
        """Who presents `token`.

        Raises:
            TokenRefused: it does not prove anybody.
        """
        if not 0 < len(token) <= _MAX_TOKEN_CHARS or not token.isascii():
            raise TokenRefused("form")
        digest = hashlib.blake2b(token.encode("ascii"), digest_size=16).digest()
        known = self._verified.get(digest)
        if known is None:
            claims = self._keys.verify(token, self._audience, self._issuer)
            known = (_caller(claims), _expiry(claims))
            self._verified[digest] = known
            if len(self._verified) > _CACHE_SIZE:
                self._verified.popitem(last=False)
        caller, expires = known
        if expires <= clock.timestamp():
            self._verified.pop(digest, None)
            raise TokenRefused("expired")
        if caller.session_id in self._ended:
            raise TokenRefused("session_ended")
        return caller

    def ended(self, sessions: Iterable[UUID]) -> None:
        """Refuse the tokens of these sessions from now on; replaces what was said before."""
        self._ended = set(sessions)


class RefreshTokens:
    """Makes refresh tokens. A successor is derived from its predecessor with a key, so a lost answer can be given again
    without any token being stored; the database holds hashes only."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def successor(self, token: str) -> str:
        """The token that follows `token`."""
        return _base64(hmac.digest(self._key, b"successor\0" + token.encode(), hashlib.sha256))

    @staticmethod
    def hashed(token: str) -> bytes:
        """What the database knows of `token`."""
        return hashlib.sha256(token.encode()).digest()


def _parsed(token: str) -> dict[str, Any]:
    """The header. PyJWT takes the last of two members of one name: here a token in which one stands twice has no meaning at all.

    Raises:
        ValueError: not three parts, or header or claims are no JSON object as we take it.
    """
    header, claims, _ = token.split(".")
    if not isinstance(strict_json.parse(base64url_decode(claims)), dict):
        raise ValueError("claims")
    return strict_json.decode(base64url_decode(header), dict[str, Any])


def _caller(claims: dict[str, Any]) -> Caller:
    try:
        level = claims["lvl"]
        if type(level) is not int or level not in (1, 2, 3):
            raise TokenRefused("level")
        if type(claims["auth_time"]) is not int:
            raise TokenRefused("auth_time")
        return Caller(UUID(claims["sub"]), UUID(claims["uid"]), UUID(claims["sid"]), level, float(claims["auth_time"]))
    except (KeyError, ValueError, TypeError, AttributeError):
        raise TokenRefused("claims") from None


def _expiry(claims: dict[str, Any]) -> float:
    expires = claims["exp"]
    if type(expires) is not int:
        raise TokenRefused("exp")
    return float(expires)


def _jwk(keyid: str, raw: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "kid": keyid, "use": "sig", "alg": "EdDSA", "x": _base64(raw)}


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
