"""Those who sign their calls to us: the companies, WeChat Pay and WeChat, with the keys the sandbox holds."""

import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from core import clock
from sandbox import alipay_crypto, http_signatures, wechat_pay_crypto, wechat_push
from sandbox.http_signatures import PrivateKey, Request

Signed = tuple[dict[str, str], dict[str, str], bytes]
"""Query, headers and body of a request that its receiver must believe."""


class Senders:
    """Made from the sandbox's configuration file; `authority` is the host and port of our public address."""

    def __init__(self, configuration: Path, authority: str) -> None:
        self._known = json.loads(configuration.read_bytes())
        self._authority = authority

    def company(self, code: str, method: str, path: str, body: Any) -> Signed:
        """A company's call under its first key; a GET has no body."""
        company = next(company for company in self._known["companies"] if company["code"] == code)
        key = PrivateKey.load(company["private_keys"][0]["keyid"], company["private_keys"][0]["key"])
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        content, fields = (b"", []) if method == "GET" else (content, [("Content-Type", "application/json")])
        request = Request(method, self._authority, path, fields, content)
        added = http_signatures.sign_request(request, key, int(clock.timestamp()), http_signatures.new_nonce())
        return {}, dict([*fields, *added]), content

    def construction(self, path: str, body: Any) -> Signed:
        """A push of the construction platform under its first key."""
        key = self._known["construction"]["private_keys"][0]
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        fields = [("Content-Type", "application/json")]
        request = Request("POST", self._authority, path, fields, content)
        signer = PrivateKey.load(key["keyid"], key["key"])
        added = http_signatures.sign_request(request, signer, int(clock.timestamp()), http_signatures.new_nonce())
        return {}, dict([*fields, *added]), content

    def wechat_pay(self, event_type: str, resource: dict[str, Any]) -> Signed:
        """A notice of WeChat Pay."""
        pay = self._known["wechat_pay"]
        sealed = wechat_pay_crypto.encrypt(
            pay["merchants"][0]["api_v3_key"], json.dumps(resource).encode(), "transaction"
        )
        notice = {
            "id": str(uuid4()),
            "create_time": clock.now().isoformat(),
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": "支付成功",
            "resource": {"original_type": "transaction", **sealed},
        }
        body = json.dumps(notice).encode()
        return {}, {**self.wechat_pay_signature(body), "Content-Type": "application/json"}, body

    def wechat_pay_signature(self, body: bytes) -> dict[str, str]:
        """The headers under which WeChat Pay sends `body`."""
        pay = self._known["wechat_pay"]
        key = wechat_pay_crypto.load_private_key(pay["public_key_private"])
        signer = wechat_pay_crypto.Signer(pay["public_key_id"], key)
        return wechat_pay_crypto.signed_headers(signer, int(clock.timestamp()), body)

    def alipay(self, fields: dict[str, str]) -> Signed:
        """A notice of Alipay about a trade that is none of ours, but for `fields`."""
        known = self._known["alipay"]
        app, platform = known["apps"][0], known["platform"]
        said = {
            "notify_type": "trade_status_sync",
            "notify_id": uuid4().hex,
            "notify_time": clock.now().astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S"),
            "charset": "utf-8",
            "version": "1.0",
            "app_id": app["app_id"],
            "seller_id": app["sellers"][0]["seller_id"],
            "out_trade_no": uuid4().hex,
            "trade_no": f"2026112322001400{secrets.randbelow(10**12):012d}",
            "total_amount": "41.99",
        } | fields
        signature = alipay_crypto.sign(
            alipay_crypto.load_private_key(platform["private_key"]), alipay_crypto.joined(said)
        )
        body = urlencode({**said, "sign_type": "RSA2", "sign": signature}).encode()
        return {}, {"Content-Type": "application/x-www-form-urlencoded; text/html; charset=utf-8"}, body

    def wechat_push(self, event: str, kind: str = "mini_program", content: str = "", openid: str = "") -> Signed:
        """An event of the mini-program or the official account; `content` are further elements."""
        app = self._app(kind)
        push = app["push"]
        original = wechat_push.original_id(app["appid"])
        text = (
            f"<xml><ToUserName>{original}</ToUserName><FromUserName>{openid or f'o{secrets.token_hex(13)}x'}</FromUserName>"
            f"<CreateTime>{int(clock.timestamp())}</CreateTime><MsgType>event</MsgType><Event>{event}</Event>{content}</xml>"
        )
        sealed = wechat_push.seal(push["encoding_aes_key"], app["appid"], text.encode())
        query = self._push_query(push["token"])
        query["msg_signature"] = wechat_push.sign(push["token"], query["timestamp"], query["nonce"], sealed)
        query["encrypt_type"] = "aes"
        body = f"<xml><ToUserName>{original}</ToUserName><Encrypt>{sealed}</Encrypt></xml>"
        return query, {"Content-Type": "text/xml"}, body.encode()

    def wechat_address_check(self, echo: str, kind: str = "mini_program") -> Signed:
        """The console's check of our push address."""
        return {**self._push_query(self._app(kind)["push"]["token"]), "echostr": echo}, {}, b""

    def _app(self, kind: str) -> dict[str, Any]:
        return next(app for app in self._known["wechat"]["apps"] if app["kind"] == kind)

    @staticmethod
    def _push_query(token: str) -> dict[str, str]:
        timestamp, nonce = str(int(clock.timestamp())), str(secrets.randbelow(10**10))
        return {"timestamp": timestamp, "nonce": nonce, "signature": wechat_push.sign(token, timestamp, nonce)}
