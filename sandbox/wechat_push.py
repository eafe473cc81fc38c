"""Message push in safe mode: XML, sealed with AES, signed, repeated up to three times."""

import base64
import hashlib
import secrets
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import httpx
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from defusedxml.ElementTree import fromstring

from sandbox.context import Context, ControlError
from sandbox.outbox import Outbox
from sandbox.wechat_apps import COUNTERPART, App, Push

WAITS_S: Final = (5.0, 5.0, 5.0)
_BLOCK: Final = 32
_WRAPPERS: Final = {
    "subscribe_msg_popup_event": "SubscribeMsgPopupEvent",
    "subscribe_msg_change_event": "SubscribeMsgChangeEvent",
    "subscribe_msg_sent_event": "SubscribeMsgSentEvent",
}

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_reply (id TEXT PRIMARY KEY, openid TEXT NOT NULL, text TEXT NOT NULL, at REAL NOT NULL);
"""


class Pusher:
    """Pushes events of people to the app they happened in; an app without a push address hears nothing."""

    def __init__(self, context: Context, apps: Mapping[str, App]) -> None:
        self._context = context
        self._apps = apps
        context.state.define(_SCHEMA)
        self._outbox = Outbox(context, COUNTERPART, "message_push", WAITS_S, self._send, _is_taken)

    def add(self, app: App, openid: str, event: str, items: Sequence[Mapping[str, str]]) -> None:
        """An event with one List element for each item; call it in the transaction that makes it true."""
        if app.push is None:
            return
        fields = "".join(f"<List>{''.join(map(_element, item.items()))}</List>" for item in items)
        wrapper = _WRAPPERS[event]
        self._add(app, openid, event, f"<{wrapper}>{fields}</{wrapper}>")

    def add_plain(self, app: App, openid: str, event: str, fields: Mapping[str, str]) -> None:
        """An event whose fields stand beside its name; call it in the transaction that makes it true."""
        if app.push is not None:
            self._add(app, openid, event, "".join(map(_element, fields.items())))

    def _add(self, app: App, openid: str, event: str, inner: str) -> None:
        text = (
            f"<xml>{_element(('ToUserName', original_id(app.appid)))}{_element(('FromUserName', openid))}"
            f"<CreateTime>{int(self._context.clock.timestamp())}</CreateTime>{_element(('MsgType', 'event'))}"
            f"{_element(('Event', event))}{inner}</xml>"
        )
        self._outbox.add(f"{app.appid}:{openid}", {"appid": app.appid, "openid": openid, "event": event, "text": text})

    def about(self, app: App, openid: str) -> list[dict[str, Any]]:
        """How the events of a person in an app fared: ``{event, status, attempts, last_answer}``."""
        rows = self._outbox.about(f"{app.appid}:{openid}")
        return [
            {"event": row["message"]["event"]} | {name: row[name] for name in ("status", "attempts", "last_answer")}
            for row in rows
        ]

    async def verify_address(self, app: App) -> bool:
        """What the console does when the push address is entered: GET with echostr, which must come back as it is."""
        if app.push is None:
            raise ControlError("the app has no push address", 409)
        echostr = str(secrets.randbelow(10**19))
        query = self._signed_query(app.push) | {"echostr": echostr}
        try:
            response = await self._context.http.get(_address(app.push, query))
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return response.status_code == 200 and response.content == echostr.encode()

    async def _send(self, message: dict[str, Any], forge: bool) -> httpx.Response:
        app = self._apps[message["appid"]]
        assert app.push is not None
        sealed = seal(app.push.encoding_aes_key, app.appid, message["text"].encode())
        query = self._signed_query(app.push)
        signature = sign(app.push.token, query["timestamp"], query["nonce"], sealed)
        if forge:
            signature = query["signature"] = sign(secrets.token_hex(8), query["timestamp"], query["nonce"], sealed)
        query |= {"openid": message["openid"], "encrypt_type": "aes", "msg_signature": signature}
        body = f"<xml>{_element(('ToUserName', original_id(app.appid)))}{_element(('Encrypt', sealed))}</xml>"
        headers = {"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0", "Accept": "*/*"}
        response = await self._outbox.post(_address(app.push, query), body.encode(), headers)
        if response.status_code == 200 and response.content.startswith(b"<xml>"):
            self._keep_reply(app, message["openid"], response.content)
        return response

    def _keep_reply(self, app: App, openid: str, answer: bytes) -> None:
        """A text that the account answers with reaches the phone, if it is sealed as it must be."""
        assert app.push is not None
        fields = {element.tag: element.text or "" for element in fromstring(answer)}
        sealed = fields["Encrypt"]
        if fields["MsgSignature"] != sign(app.push.token, fields["TimeStamp"], fields["Nonce"], sealed):
            return
        reply = {element.tag: element.text or "" for element in fromstring(unseal(app.push, app.appid, sealed))}
        if reply["ToUserName"] == openid and reply["FromUserName"] == original_id(app.appid):
            values = (secrets.token_hex(8), openid, reply["Content"], self._context.clock.timestamp())
            self._context.state.run("INSERT INTO wechat_reply VALUES (?, ?, ?, ?)", values)

    def replies(self, openid: str) -> list[str]:
        """Texts the account answered this person's events with, oldest first."""
        rows = self._context.state.all("SELECT text FROM wechat_reply WHERE openid = ? ORDER BY rowid", (openid,))
        return [row["text"] for row in rows]

    def _signed_query(self, push: Push) -> dict[str, str]:
        timestamp, nonce = str(int(self._context.clock.timestamp())), str(secrets.randbelow(10**10))
        return {"signature": sign(push.token, timestamp, nonce), "timestamp": timestamp, "nonce": nonce}


def original_id(appid: str) -> str:
    """The account's original id, which stands in ToUserName."""
    return "gh_" + hashlib.sha256(appid.encode()).hexdigest()[:12]


def sign(*parts: str) -> str:
    """SHA-1 over the sorted parts: token, timestamp, nonce and, in safe mode, the sealed message."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def seal(encoding_aes_key: str, appid: str, message: bytes) -> str:
    """AES-256-CBC over 16 random bytes, the length, the message and the appid, padded to 32-byte blocks; base64."""
    key = base64.b64decode(encoding_aes_key + "=")
    plain = secrets.token_bytes(16) + struct.pack(">I", len(message)) + message + appid.encode()
    padding = _BLOCK - len(plain) % _BLOCK
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    sealed = encryptor.update(plain + bytes([padding]) * padding) + encryptor.finalize()
    return base64.b64encode(sealed).decode("ascii")


def unseal(push: Push, appid: str, sealed: str) -> bytes:
    """The message inside a sealed text. Raises ValueError when it was not sealed for this app."""
    key = base64.b64decode(push.encoding_aes_key + "=")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
    plain = decryptor.update(base64.b64decode(sealed)) + decryptor.finalize()
    plain = plain[: -plain[-1]]
    (length,) = struct.unpack(">I", plain[16:20])
    if plain[20 + length :] != appid.encode():
        raise ValueError("sealed for another app")
    return plain[20 : 20 + length]


def _element(item: tuple[str, str]) -> str:
    name, value = item
    return f"<{name}><![CDATA[{value}]]></{name}>" if "]]>" not in value else f"<{name}>{escape(value)}</{name}>"


def _address(push: Push, query: Mapping[str, str]) -> str:
    return f"{push.url}{'&' if '?' in push.url else '?'}{urlencode(query)}"


def _is_taken(response: httpx.Response) -> bool:
    content = response.content.strip()
    return response.status_code == 200 and (content in (b"success", b"") or content.startswith(b"<xml>"))
