"""Devices that read ID cards: enrolled at a hall, with keys of their own, signing as docs/devices.md says."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from core import clock
from domain.services import Services
from sandbox import http_signatures
from sandbox.http_signatures import PrivateKey, Request
from tests.harness.edge import Edge, Person
from tests.harness.staff import Member, member

HALL = "hall_420704"
CARD = {"name": "张三", "id_number": "11010519491231002X", "valid_until": "2036-05-31"}


@dataclass
class Reader:
    """A device with what never leaves it."""

    device_id: str
    private_key: str = field(repr=False)

    def signed(
        self,
        edge: Edge,
        method: str,
        path: str,
        body: Any = None,
        *,
        created: int | None = None,
        nonce: str | None = None,
    ) -> tuple[dict[str, str], bytes]:
        """Headers and body of a call of its own."""
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        return self.signed_bytes(edge, method, path, content, created=created, nonce=nonce)

    def signed_bytes(
        self,
        edge: Edge,
        method: str,
        path: str,
        content: bytes,
        *,
        created: int | None = None,
        nonce: str | None = None,
    ) -> tuple[dict[str, str], bytes]:
        """The same of a body as it stands."""
        fields = [("Content-Type", "application/json")] if content else []
        authority = edge.spine.services.settings.public_url.removeprefix("http://")
        request = Request(method, authority, path, fields, content)
        key = PrivateKey.load(self.device_id, self.private_key)
        added = http_signatures.sign_request(
            request, key, int(clock.timestamp()) if created is None else created, nonce or http_signatures.new_nonce()
        )
        return dict([*fields, *added]), content

    async def call(self, edge: Edge, method: str, path: str, body: Any = None, **how: Any) -> httpx.Response:
        """A signed call."""
        headers, content = self.signed(edge, method, path, body, **how)
        return await edge.http.request(method, path, headers=headers, content=content)

    async def reads(self, edge: Edge, **card: str) -> dict[str, str]:
        """A card lies on it: card_read_id, card_code, expires_at."""
        answer = await self.call(edge, "POST", "/device/v1/card-reads", CARD | card)
        assert answer.status_code == 201, answer.text
        return answer.json()


def new_key() -> tuple[str, str]:
    """A key pair of a device: private and public, PEM."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def enrolled(services: Services, kind: str = "kiosk", *, by: Member | None = None, unit: str = HALL) -> Reader:
    """A new device of a hall."""
    by = by or await member(services, unit, "administrator")
    private, public = new_key()
    caller = await services.staff_sessions.check(by.token)
    device = await services.devices.enrol(caller, kind, None, "自助机", public)
    return Reader(str(device.id), private)


async def taken(edge: Edge, device: Reader, person: Person) -> str:
    """A card on a kiosk that this person's phone has taken up; its id."""
    read = await device.reads(edge)
    await edge.told("POST", "/v1/me/card-reads", {"card_code": read["card_code"]}, by=person)
    return read["card_read_id"]
