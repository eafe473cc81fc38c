"""A unified identity that speaks OAuth 2.0: code, PKCE (RFC 7636), signed identity token with nonce, issuer in the return (RFC 9207).

The identity token binds the login to this start (nonce) and to us (audience); name and ID number come from the user info call, whose
subject must be the token's. Its key stands in the settings: none is ever fetched because a token asks for it.
"""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from core import clock
from core.outbound import Answer, Counterpart, MalformedAnswer, OutcomeUnknown
from core.strict_json import JsonRefused, decode
from gateways.unified_identity import (
    CLOCK_SKEW_S,
    LegalPerson,
    NaturalPerson,
    ReturnRefused,
    Trip,
    Vouched,
    VouchingRefused,
)

T = TypeVar("T")
_SCOPE = "openid profile real_name"


class _Tokens(msgspec.Struct, frozen=True):
    access_token: str
    token_type: str
    id_token: str


class _UserInfo(msgspec.Struct, frozen=True):
    sub: str
    name: str | None = None
    id_number: str | None = None
    phone: str | None = None
    real_name: bool = False
    organization: LegalPerson | None = None


class CodeSource:
    """One source of the protocol ``code``."""

    real_name: str | None = "unified_identity"
    takes_organizations = True

    def __init__(
        self,
        code: str,
        issuer: str,
        login_url: str,
        client_id: str,
        secret: str,
        public_key: str,
        counterpart: Counterpart,
    ) -> None:
        """`public_key` is the PEM of the Ed25519 key that signs its identity tokens."""
        key = load_pem_public_key(public_key.encode())
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError(f"{code}: not an Ed25519 key")
        self.code = code
        self.realm = issuer
        self._login_url = login_url
        self._client_id = client_id
        self._secret = secret
        self._key = key
        self._counterpart = counterpart

    def login_url(self, trip: Trip) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(trip.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": trip.callback_url,
            "scope": _SCOPE,
            "state": trip.state,
            "nonce": trip.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "acting_as": trip.acting_as,
        }
        return f"{self._login_url}?{urlencode(query)}"

    def returned(self, trip_query: Mapping[str, str]) -> str:
        if trip_query.get("iss") != self.realm:
            raise ReturnRefused("issuer")
        code = trip_query.get("code", "")
        if "error" in trip_query or not 8 <= len(code) <= 512 or not code.isascii():
            raise ReturnRefused("declined")
        return code

    async def vouch(self, code: str, trip: Trip) -> Vouched:
        tokens = await self._tokens(code, trip)
        subject = self._subject(tokens.id_token, trip)
        info = await self._user_info(tokens)
        if info.sub != subject:
            raise MalformedAnswer(self._counterpart.name, "user_info", "subject")
        if (info.organization is not None) != (trip.acting_as == "organization"):
            raise MalformedAnswer(self._counterpart.name, "user_info", "acting_as")
        person = NaturalPerson(info.sub, info.name, info.id_number, info.phone, info.real_name)
        try:
            return msgspec.convert(msgspec.to_builtins(Vouched(person, info.organization)), Vouched)
        except msgspec.ValidationError:
            raise MalformedAnswer(self._counterpart.name, "user_info", "shape") from None

    async def _tokens(self, code: str, trip: Trip) -> _Tokens:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": trip.callback_url,
            "code_verifier": trip.verifier,
        }
        client = base64.b64encode(f"{self._client_id}:{self._secret}".encode()).decode()
        answer = await self._counterpart.request(
            "POST",
            "/token",
            operation="token",
            headers={"Authorization": f"Basic {client}", "Content-Type": "application/x-www-form-urlencoded"},
            content=urlencode(form).encode(),
        )
        if answer.status == 400:
            raise VouchingRefused("token")
        return self._read("token", answer, _Tokens)

    async def _user_info(self, tokens: _Tokens) -> _UserInfo:
        answer = await self._counterpart.request(
            "GET",
            "/userinfo",
            operation="user_info",
            headers={"Authorization": f"Bearer {tokens.access_token}"},
            idempotent=True,
        )
        return self._read("user_info", answer, _UserInfo)

    def _subject(self, id_token: str, trip: Trip) -> str:
        try:
            claims: dict[str, Any] = jwt.decode(
                id_token, self._key, ["EdDSA"], audience=self._client_id, issuer=self.realm,
                options={
                    "require": ["exp", "iat", "sub", "nonce"], "verify_exp": False, "verify_iat": False, "verify_nbf": False, "strict_aud": True,
                },
            )  # fmt: skip
            now, issued, expires = clock.timestamp(), float(claims["iat"]), float(claims["exp"])
        except (jwt.PyJWTError, ValueError, TypeError, UnicodeError, RecursionError):
            raise MalformedAnswer(self._counterpart.name, "token", "id_token") from None
        if claims["nonce"] != trip.nonce or abs(now - issued) > CLOCK_SKEW_S or expires < now - CLOCK_SKEW_S:
            raise MalformedAnswer(self._counterpart.name, "token", "id_token_of_another_login")
        return str(claims["sub"])

    def _read(self, operation: str, answer: Answer, type_: type[T]) -> T:
        if answer.status >= 500:
            raise OutcomeUnknown(self._counterpart.name, operation, "server_error")
        if answer.status != 200:
            raise MalformedAnswer(self._counterpart.name, operation, "status")
        try:
            return decode(answer.content, type_)
        except JsonRefused as error:
            raise MalformedAnswer(self._counterpart.name, operation, error.reason) from error
