"""The platform of the tests: answers as protocol notes say, and pushes as the platform does, by its own hand."""

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import httpx
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from core.outbound import Counterpart

APPID, SECRET = "wx0123456789abcdef", "0123456789abcdef0123456789abcdef"
PUSH_TOKEN, AES_KEY = "pushtoken", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


@dataclass
class Call:
    path: str
    query: dict[str, str]
    body: Any


class FakeWeChat:
    """Hands out tokens T1, T2 … and answers each path with what the test laid there."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.tokens = 0
        self.expires_in = 7200
        self.answers: dict[str, Callable[[Call], Any]] = {}

    def counterpart(self) -> Counterpart:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._serve))
        return Counterpart("wechat", "https://api.weixin.qq.com", client=client)

    def called(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path == path]

    def _serve(self, request: httpx.Request) -> httpx.Response:
        query = {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}
        call = Call(request.url.path, query, json.loads(request.content) if request.content else None)
        self.calls.append(call)
        answer = self.answers.get(call.path, self._token)(call)
        if isinstance(answer, httpx.Response):
            return answer
        # The platform says text/plain to its JSON.
        return httpx.Response(200, headers={"Content-Type": "text/plain"}, content=json.dumps(answer).encode())

    def _token(self, call: Call) -> Any:
        assert call.path == "/cgi-bin/stable_token"
        expected = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET, "force_refresh": False}
        assert call.body == expected
        self.tokens += 1
        return {"access_token": f"T{self.tokens}", "expires_in": self.expires_in}


def sha1_of(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def encrypted(text: str, appid: str = APPID, aes_key: str = AES_KEY) -> str:
    """AES-256-CBC of 16 random bytes, the length, the text and the app id, padded to blocks of 32."""
    key = base64.b64decode(aes_key + "=")
    plain = b"0123456789abcdef" + struct.pack(">I", len(text.encode())) + text.encode() + appid.encode()
    pad = 32 - len(plain) % 32
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()).decode()


def push(
    text: str, now_s: float, *, as_json: bool = False, appid: str = APPID, token: str = PUSH_TOKEN
) -> tuple[dict[str, str], bytes]:
    """Query and body of one push in safe mode."""
    sealed, timestamp, nonce = encrypted(text, appid), str(int(now_s)), "372623539"
    query = {
        "signature": sha1_of(token, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
        "encrypt_type": "aes",
        "msg_signature": sha1_of(token, timestamp, nonce, sealed),
    }
    wrapped = f"<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>"
    body = json.dumps({"ToUserName": "gh_1", "Encrypt": sealed}) if as_json else wrapped
    return query, body.encode()
