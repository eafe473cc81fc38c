"""Message push of the platform, safe mode only: plain mode's signature does not cover the body.

Verify, open, and read into typed events; nothing is stored here. The signature is compared in constant time before anything is
parsed further than the wrapper around the ciphertext.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

import defusedxml.ElementTree
from defusedxml import DefusedXmlException
from wechatpy.crypto import PrpCrypto, WeChatCrypto

from core.errors import LianbanError
from core.log import get_logger
from core.strict_json import JsonRefused, parse

log = get_logger(__name__)

MAX_AGE = timedelta(seconds=300)
MAX_BYTES = 64 * 1024
_MAX_DEPTH = 8


class PushRefused(LianbanError):
    """The push is not the platform's, not fresh, or not readable. `reason` is a fixed word."""

    code = "wechat_push_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SubscribeChoice:
    """The user's answer for one template; an acceptance buys one later message."""

    template_id: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """What became of one message; `error_code` is ``"0"`` when it reached the phone."""

    template_id: str
    message_id: str
    error_code: str
    error_status: str

    @property
    def delivered(self) -> bool:
        """True when the platform says the message reached the user."""
        return self.error_code == "0"


@dataclass(frozen=True, slots=True)
class _Event:
    dedupe_key: str
    """Unique per event, equal for a repeated push; holds no personal value."""
    openid: str = field(repr=False)
    created_at: datetime
    receiver: str = field(default="", kw_only=True)
    """The app's original id, under which it answers."""


@dataclass(frozen=True, slots=True)
class SubscribePopup(_Event):
    """The user answered the pop-up."""

    choices: tuple[SubscribeChoice, ...]


@dataclass(frozen=True, slots=True)
class SubscribeChange(_Event):
    """The user changed the subscriptions in the settings."""

    choices: tuple[SubscribeChoice, ...]


@dataclass(frozen=True, slots=True)
class SubscribeSent(_Event):
    """Results of messages sent earlier."""

    results: tuple[DeliveryResult, ...]


@dataclass(frozen=True, slots=True)
class TemplateSent(_Event):
    """What became of a template message of the official account; `failure` is None when it reached the person."""

    message_id: str
    failure: str | None


@dataclass(frozen=True, slots=True)
class Followed(_Event):
    """The person began (or ceased) to follow the official account; `scene` of the code he came by, None without one."""

    subscribed: bool
    scene: str | None = None


@dataclass(frozen=True, slots=True)
class Scanned(_Event):
    """A follower scanned a code with a scene."""

    scene: str


@dataclass(frozen=True, slots=True)
class MenuClicked(_Event):
    """A follower chose an entry of the menu."""

    entry: str


@dataclass(frozen=True, slots=True)
class OtherEvent(_Event):
    """Anything else: `name` is the event, or ``message.<type>`` for what a user wrote."""

    name: str


PushEvent = (
    SubscribePopup | SubscribeChange | SubscribeSent | TemplateSent | Followed | Scanned | MenuClicked | OtherEvent
)
_TEMPLATE_FAILURES = {
    "failed:userblock": "user_block",
    "failed:systemfailed": "system_failed",
    "failed:freqlimit": "freq_limit",
}
_SCENE_OF_A_NEW_FOLLOWER = "qrscene_"


class PushReceiver:
    """Opens the pushes of one app."""

    def __init__(self, appid: str, token: str, encoding_aes_key: str) -> None:
        """`encoding_aes_key`: the 43 characters of the console.

        Raises:
            ValueError: the key is not 43 characters of base64, or the token is empty: a missing secret closes the door.
        """
        if not token or len(encoding_aes_key) != 43 or not encoding_aes_key.isalnum() or not encoding_aes_key.isascii():
            raise ValueError("message push needs its token and the 43 characters of its AES key")
        self.appid = appid
        self._token = token
        self._key: bytes = WeChatCrypto(token, encoding_aes_key, appid).key

    def answer_url_check(self, query: Mapping[str, str], now: datetime) -> str:
        """What the console's check of our address is answered with: the echo, as plain text.

        Raises:
            PushRefused: the query was not made with our token.
        """
        self._check_age(query, now)
        expected = _signature(self._token, query.get("timestamp", ""), query.get("nonce", ""))
        if not hmac.compare_digest(expected.encode(), query.get("signature", "").encode()):
            raise PushRefused("signature")
        return query.get("echostr", "")

    def open(self, query: Mapping[str, str], body: bytes, now: datetime) -> PushEvent:
        """Verify, decrypt and read one push; raises as :meth:`opened`."""
        return self.opened(query, body, now)[0]

    def opened(self, query: Mapping[str, str], body: bytes, now: datetime) -> tuple[PushEvent, bytes]:
        """Verify, decrypt and read one push; also the plaintext, for the inbox.

        Raises:
            PushRefused: answer 401 and keep nothing.
        """
        if len(body) > MAX_BYTES:
            raise PushRefused("too_large")
        if query.get("encrypt_type") != "aes":
            raise PushRefused("not_safe_mode")
        self._check_age(query, now)
        encrypted = _fields(body).get("Encrypt")
        if not isinstance(encrypted, str) or not encrypted.isascii():
            raise PushRefused("no_ciphertext")
        expected = _signature(self._token, query["timestamp"], query.get("nonce", ""), encrypted)
        if not hmac.compare_digest(expected.encode(), query.get("msg_signature", "").encode()):
            raise PushRefused("signature")
        plaintext = self._decrypt(encrypted)
        return read_event(self.appid, plaintext), plaintext

    def sealed_reply(self, event: PushEvent, text: str, now: datetime) -> bytes:
        """A text for the person as the answer to his own event, sealed as the platform wants it; a link in it is left one."""
        reply = (
            f"<xml><ToUserName><![CDATA[{event.openid}]]></ToUserName><FromUserName><![CDATA[{event.receiver}]]></FromUserName>"
            f"<CreateTime>{int(now.timestamp())}</CreateTime><MsgType><![CDATA[text]]></MsgType>"
            f"<Content>{escape(text)}</Content></xml>"
        )
        encrypted = PrpCrypto(self._key).encrypt(reply, self.appid)
        encrypted = encrypted.decode() if isinstance(encrypted, bytes) else str(encrypted)
        timestamp, nonce = str(int(now.timestamp())), secrets.token_hex(8)
        signature = _signature(self._token, timestamp, nonce, encrypted)
        return (
            f"<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt><MsgSignature><![CDATA[{signature}]]></MsgSignature>"
            f"<TimeStamp>{timestamp}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
        ).encode()

    def _decrypt(self, encrypted: str) -> bytes:
        try:
            # Its check of the app id at the end also proves length and padding.
            return PrpCrypto(self._key).decrypt(encrypted, self.appid).encode()
        except Exception as error:
            raise PushRefused("ciphertext") from error

    def _check_age(self, query: Mapping[str, str], now: datetime) -> None:
        timestamp = query.get("timestamp", "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise PushRefused("timestamp")
        if abs(now.timestamp() - int(timestamp)) > MAX_AGE.total_seconds():
            raise PushRefused("stale")


def read_event(appid: str, plaintext: bytes) -> PushEvent:
    """Read a decrypted push, XML or JSON.

    Raises:
        PushRefused: ``fields``, ``not_xml`` or ``not_json``.
    """
    fields = _fields(plaintext)
    openid, kind = _text(fields, "FromUserName"), _text(fields, "MsgType")
    receiver = str(fields.get("ToUserName", ""))[:40]
    created_at = _moment(fields)
    if kind != "event":
        key = _dedupe_key(appid, "message", _text(fields, "MsgId"))
        return OtherEvent(key, openid, created_at, f"message.{kind}")
    name = _text(fields, "Event")
    items = _items(fields)
    # Two events of one person may bear the same second: message ids, answers and scenes tell them apart.
    marks = [*sorted(_mark(item) for item in items), *(str(fields.get(name, "")) for name in ("MsgID", "EventKey"))]
    key = _dedupe_key(appid, "event", openid, str(int(created_at.timestamp())), name, *marks)
    match name:
        case "subscribe_msg_popup_event":
            return SubscribePopup(key, openid, created_at, _choices(items))
        case "subscribe_msg_change_event":
            return SubscribeChange(key, openid, created_at, _choices(items))
        case "subscribe_msg_sent_event":
            return SubscribeSent(key, openid, created_at, _results(items))
        case "TEMPLATESENDJOBFINISH":
            return TemplateSent(
                key, openid, created_at, _text(fields, "MsgID"), _template_failure(_text(fields, "Status"))
            )
        case "subscribe":
            scene = str(fields.get("EventKey") or "")
            came_by = scene.removeprefix(_SCENE_OF_A_NEW_FOLLOWER) if scene.startswith(_SCENE_OF_A_NEW_FOLLOWER) else ""
            return Followed(key, openid, created_at, True, came_by or None, receiver=receiver)
        case "unsubscribe":
            return Followed(key, openid, created_at, False)
        case "SCAN":
            return Scanned(key, openid, created_at, _text(fields, "EventKey"), receiver=receiver)
        case "CLICK":
            return MenuClicked(key, openid, created_at, _text(fields, "EventKey"))
        case _:
            return OtherEvent(key, openid, created_at, name)


def _template_failure(status: str) -> str | None:
    # The platform writes "failed:user block" and "failed: system failed": with and without spaces.
    found = "".join(status.lower().split())
    if found == "success":
        return None
    if found not in _TEMPLATE_FAILURES:
        log.error("wechat.template_status_unknown", status=status[:40])
    return _TEMPLATE_FAILURES.get(found, "other")


def _mark(item: Mapping[str, Any]) -> str:
    if "MsgID" in item:
        return str(item["MsgID"])
    return "|".join(str(item.get(name, "")) for name in ("TemplateId", "SubscribeStatusString", "PopupScene"))


def _choices(items: list[dict[str, Any]]) -> tuple[SubscribeChoice, ...]:
    choices = []
    for item in items:
        status = _text(item, "SubscribeStatusString")
        if status not in ("accept", "reject"):
            log.error("wechat.subscribe_status_unknown", status=status[:32])
        choices.append(SubscribeChoice(_text(item, "TemplateId"), status == "accept"))
    return tuple(choices)


def _results(items: list[dict[str, Any]]) -> tuple[DeliveryResult, ...]:
    return tuple(
        DeliveryResult(
            _text(item, "TemplateId"), _text(item, "MsgID"), _text(item, "ErrorCode"), str(item.get("ErrorStatus", ""))
        )
        for item in items
    )


def _items(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The list of a subscription event: flat in JSON, wrapped in XML, and one item is an object where several are an array.

    The documentation labels wrappers wrongly, so any of the three is taken.
    """
    found = fields.get("List")
    for wrapper in ("SubscribeMsgPopupEvent", "SubscribeMsgChangeEvent", "SubscribeMsgSentEvent"):
        inner = fields.get(wrapper)
        if isinstance(inner, dict):
            found = inner.get("List", found)
    if found is None or found == "":
        return []
    items = found if isinstance(found, list) else [found]
    if not all(isinstance(item, dict) for item in items):
        raise PushRefused("fields")
    return items


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise PushRefused("fields")
    return str(value)


def _moment(fields: Mapping[str, Any]) -> datetime:
    text = _text(fields, "CreateTime")
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise PushRefused("fields")
    return datetime.fromtimestamp(int(text), UTC)


def _dedupe_key(appid: str, *parts: str) -> str:
    return f"{appid}:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}"


def _signature(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324  # the platform's protocol


def _fields(text: bytes) -> dict[str, Any]:
    value = _from_json(text) if text.lstrip()[:1] == b"{" else _from_xml(text)
    if not isinstance(value, dict):
        raise PushRefused("fields")
    return value


def _from_json(text: bytes) -> Any:
    try:
        return parse(text)
    except JsonRefused as error:
        raise PushRefused("not_json") from error


def _from_xml(text: bytes) -> Any:
    try:
        root = defusedxml.ElementTree.fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise PushRefused("not_xml") from error
    return _element(root, 0)


def _element(element: Element, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise PushRefused("not_xml")
    if not len(element):
        return (element.text or "").strip()
    fields: dict[str, Any] = {}
    for child in element:
        value = _element(child, depth + 1)
        if child.tag not in fields:
            fields[child.tag] = value
        elif isinstance(fields[child.tag], list):
            fields[child.tag].append(value)
        else:
            fields[child.tag] = [fields[child.tag], value]
    return fields
