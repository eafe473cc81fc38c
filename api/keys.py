"""The public keys with which anybody can verify our access tokens."""

import msgspec

from api.calls import Answer, Call


class Jwk(msgspec.Struct, frozen=True):
    """One Ed25519 public key (RFC 8037)."""

    kty: str
    crv: str
    kid: str
    use: str
    alg: str
    x: str


class JwkSet(msgspec.Struct, frozen=True):
    """All live keys."""

    keys: list[Jwk]


async def publish(call: Call) -> Answer:
    published = msgspec.convert(call.services.token_keys.published(), JwkSet)
    return Answer(published, headers={"Cache-Control": "public, max-age=300"})
