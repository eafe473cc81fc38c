"""Kiosks and counter readers: each makes its own key pair, signs what it reads and asks (docs/devices.md), and is worked by control calls.

``/control/readers``: what the person before the device does with it. A reader calls us as any device does, over HTTP.
"""

import json
import secrets
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sanic import Request, Sanic

from sandbox import http_signatures
from sandbox.context import Context, ControlError
from sandbox.control import body_of
from sandbox.http_signatures import PrivateKey
from sandbox.replies import Reply, encode, json_reply

PREFIX: Final = "/control/readers"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS reader (reader_id TEXT PRIMARY KEY, private_key TEXT NOT NULL, device_id TEXT);
"""


def mount(app: Sanic, context: Context) -> None:
    """Open the control endpoints, when the configuration says where the platform is."""
    config = context.config.get("readers")
    if config is None:
        return
    context.state.define(_SCHEMA)
    readers = Readers(context, config["platform_url"].rstrip("/"))

    @app.post(PREFIX, name="control_readers")
    async def make(_: Request) -> Reply:
        return json_reply(readers.make(), 201)

    @app.post(f"{PREFIX}/<reader_id:str>/enrolled", name="control_reader_enrolled")
    async def enrolled(request: Request, reader_id: str) -> Reply:
        readers.enrolled(reader_id, _text(body_of(request), "device_id"))
        return json_reply({})

    @app.post(f"{PREFIX}/<reader_id:str>/cards", name="control_reader_card")
    async def card(request: Request, reader_id: str) -> Reply:
        card = {"valid_until": None} | body_of(request)
        return json_reply(await readers.call(reader_id, "POST", "/device/v1/card-reads", card))

    @app.get(f"{PREFIX}/<reader_id:str>/cards/<read_id:str>", name="control_reader_card_state")
    async def state(_: Request, reader_id: str, read_id: str) -> Reply:
        return json_reply(await readers.call(reader_id, "GET", f"/device/v1/card-reads/{read_id}", None))

    @app.post(f"{PREFIX}/<reader_id:str>/cards/<read_id:str>/confirm", name="control_reader_confirm")
    async def confirm(request: Request, reader_id: str, read_id: str) -> Reply:
        said = {"agreed": True} | body_of(request)
        return json_reply(await readers.call(reader_id, "POST", f"/device/v1/card-reads/{read_id}/confirm", said))


class Readers:
    """All devices of the city's halls."""

    def __init__(self, context: Context, platform_url: str) -> None:
        self._context = context
        self._platform_url = platform_url

    def make(self) -> dict[str, str]:
        """A new device: it makes its keys and gives the public one away."""
        key, reader_id = Ed25519PrivateKey.generate(), f"reader-{secrets.token_hex(4)}"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        self._context.state.run(
            "INSERT INTO reader (reader_id, private_key, device_id) VALUES (?, ?, NULL)", (reader_id, private)
        )
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        return {"reader_id": reader_id, "public_key": public}

    def enrolled(self, reader_id: str, device_id: str) -> None:
        """The installer types in under which id the platform knows it."""
        done = self._context.state.run("UPDATE reader SET device_id = ? WHERE reader_id = ?", (device_id, reader_id))
        if not done:
            raise ControlError(f"no reader {reader_id}", 404)

    async def call(self, reader_id: str, method: str, path: str, body: Any) -> dict[str, Any]:
        """A signed call; what we answered: ``{"status", "body"}``."""
        row = self._context.state.one("SELECT * FROM reader WHERE reader_id = ?", (reader_id,))
        if row is None or row["device_id"] is None:
            raise ControlError(f"no enrolled reader {reader_id}", 404)
        content = b"" if body is None else encode(body)
        fields = [("Content-Type", "application/json")] if content else []
        authority = self._platform_url.partition("://")[2]
        request = http_signatures.Request(method, authority, path, fields, content)
        key = PrivateKey.load(row["device_id"], row["private_key"])
        created = int(self._context.clock.timestamp())
        signed = http_signatures.sign_request(request, key, created, http_signatures.new_nonce())
        answer = await self._context.http.request(
            method, self._platform_url + path, headers=dict([*fields, *signed]), content=content
        )
        return {"status": answer.status_code, "body": json.loads(answer.content) if answer.content else None}


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise ControlError(f"{name} must be text")
    return value
