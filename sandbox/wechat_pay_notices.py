"""The notices of WeChat Pay: sealed, signed, repeated until taken; a signature probe before the first of an order."""

import json
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from sandbox import wechat_pay_crypto as crypto
from sandbox.context import Context, ControlError
from sandbox.outbox import Outbox
from sandbox.replies import encode
from sandbox.wechat_pay_crypto import Signer
from sandbox.wechat_pay_door import COUNTERPART
from sandbox.wechat_pay_parties import Parties

MINUTE: Final = 60.0
HOUR: Final = 3600.0
WAITS_S: Final = (
    15.0, 15.0, 30.0, 3 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE, 30 * MINUTE, 30 * MINUTE, 60 * MINUTE,
    3 * HOUR, 3 * HOUR, 3 * HOUR, 6 * HOUR, 6 * HOUR,
)  # fmt: skip
"""The waits before the 15 repetitions."""
_SUMMARIES: Final = {
    "TRANSACTION.SUCCESS": "支付成功",
    "REFUND.SUCCESS": "退款成功",
    "REFUND.ABNORMAL": "退款异常",
    "REFUND.CLOSED": "退款关闭",
}
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS wechat_pay_probe (subject TEXT PRIMARY KEY, answer INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Spoiling:
    """How a notice sent by hand differs from a right one: fields replaced, signer, age of its signature in seconds."""

    mutate: Mapping[str, Any]
    sign_with: str
    late_s: float


class Notices:
    """Writes notices into the outbox and sends them."""

    def __init__(self, context: Context, parties: Parties) -> None:
        self._context = context
        self._parties = parties
        context.state.define(_SCHEMA)
        self._outbox = Outbox(context, COUNTERPART, "notice", WAITS_S, self._send, _is_taken)

    def add(self, subject: str, url: str, mchid: str, event_type: str, resource: Mapping[str, Any]) -> None:
        """A notice about `subject` (``order:…`` or ``refund:…``); call it in the transaction that makes it true."""
        notice = self._sealed(mchid, event_type, resource)
        probe = self._sealed(mchid, event_type, resource) if subject.startswith("order:") else None
        message = {"subject": subject, "url": url, "notice": notice, "probe": probe}
        self._outbox.add(subject, message)

    def about(self, subject: str) -> dict[str, Any]:
        """How the notices of a subject fared: ``{notices: [{id, status, attempts, last_answer}], probe}``."""
        notices = [
            {"id": json.loads(row["message"]["notice"])["id"]}
            | {name: row[name] for name in ("status", "attempts", "last_answer")}
            for row in self._outbox.about(subject)
        ]
        probe = self._context.state.one("SELECT answer FROM wechat_pay_probe WHERE subject = ?", (subject,))
        answered = None if probe is None else {"answer": probe["answer"], "refused": probe["answer"] >= 400}
        return {"notices": notices, "probe": answered}

    async def send_by_hand(
        self, subject: str, url: str, mchid: str, event_type: str, resource: Mapping[str, Any], spoiling: Spoiling
    ) -> int | str:
        """Send the last notice of a subject once more, as it was or spoiled; answers the status, or what went wrong.

        A notice with replaced fields carries an id of its own, so that it is judged by its content and not by its id.
        """
        sent = self._outbox.about(subject)
        if sent and not spoiling.mutate:
            body = sent[-1]["message"]["notice"].encode()
        else:
            body = self._sealed(mchid, event_type, {**resource, **spoiling.mutate}).encode()
        timestamp = int(self._context.clock.timestamp() - spoiling.late_s)
        signer = self._parties.signer
        if spoiling.sign_with == "stranger":
            signer = Signer(signer.serial, crypto.stranger())
        elif spoiling.sign_with not in ("platform", "signtest"):
            raise ControlError("sign_with is platform, stranger or signtest")
        headers = crypto.signed_headers(signer, timestamp, body, signtest=spoiling.sign_with == "signtest")
        try:
            return (await self._outbox.post(url, body, _headers(headers))).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__

    def _sealed(self, mchid: str, event_type: str, resource: Mapping[str, Any]) -> str:
        kind = "transaction" if event_type.startswith("TRANSACTION") else "refund"
        merchant = self._parties.merchants[mchid]
        sealed = crypto.encrypt(merchant.api_v3_key, encode(resource), kind)
        notice = {
            "id": str(uuid.uuid4()),
            "create_time": self._context.clock.iso(),
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": _SUMMARIES[event_type],
            "resource": {"original_type": kind, **sealed},
        }
        return encode(notice).decode()

    async def _send(self, message: dict[str, Any], forge: bool) -> httpx.Response:
        if message["probe"] is not None:
            await self._probe(message["subject"], message["url"], message["probe"].encode())
        body = message["notice"].encode()
        timestamp = int(self._context.clock.timestamp())
        headers = crypto.signed_headers(self._parties.signer, timestamp, body, forge=forge)
        return await self._outbox.post(message["url"], body, _headers(headers))

    async def _probe(self, subject: str, url: str, body: bytes) -> None:
        """The platform's own test whether signatures are verified: once an order, a right notice, wrongly signed."""
        state = self._context.state
        if state.one("SELECT 1 FROM wechat_pay_probe WHERE subject = ?", (subject,)) is not None:
            return
        timestamp = int(self._context.clock.timestamp())
        headers = crypto.signed_headers(self._parties.signer, timestamp, body, signtest=True)
        try:
            response = await self._outbox.post(url, body, _headers(headers))
        except (httpx.HTTPError, httpx.InvalidURL):
            return  # neither refused nor taken: the next attempt probes again
        state.run("INSERT OR IGNORE INTO wechat_pay_probe VALUES (?, ?)", (subject, response.status_code))


def order_subject(order: sqlite3.Row) -> str:
    """The subject of an order's notices."""
    return f"order:{order['sp_mchid']}:{order['out_trade_no']}"


def refund_subject(refund: sqlite3.Row) -> str:
    """The subject of a refund's notices."""
    return f"refund:{refund['sp_mchid']}:{refund['out_refund_no']}"


def _is_taken(response: httpx.Response) -> bool:
    return response.status_code in (200, 204)


def _headers(signed: Mapping[str, str]) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "Accept": "*/*",
        "User-Agent": "Mozilla/4.0",
        "Pragma": "no-cache",
        **signed,
    }
